//! Where each leader epoch starts: what the file `leader-epoch-checkpoint` of a partition keeps.
//!
//! Invariants: epochs rise strictly, start offsets do not fall.
//!
//! Lock: the list is published as an immutable value; it is changed under the log's writer lock.
//!
//! It does not decide who leads: it answers a follower or a consumer that asks where an epoch
//! ended, so that it can tell whether its own log has parted from this one.

use crate::checkpoint::LeaderEpochCheckpointFile;
use crate::dir::Dir;
use crate::error::StorageError;

/// Asked for an epoch that nobody knows.
pub const UNDEFINED_EPOCH: i32 = -1;
/// The end of an epoch that nobody knows.
pub const UNDEFINED_EPOCH_OFFSET: i64 = -1;

/// One epoch's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: i32,
    pub start_offset: i64,
}

/// All epochs of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// The newest epoch.
    pub fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// By epoch, ascending.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The list with a newer epoch added; none when the epoch is not newer.
    pub fn with(&self, epoch: i32, start_offset: i64) -> Option<LeaderEpochs> {
        if epoch < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return None;
        }
        let mut entries = self.entries.clone();
        // An epoch in which nothing was written leaves no trace.
        entries.retain(|entry| entry.start_offset < start_offset);
        entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        Some(LeaderEpochs { entries })
    }

    /// The list without what lies outside of the log: epochs that start at or beyond its end, and
    /// all but the last of those that start at or before its start.
    pub fn clipped(&self, log_start_offset: i64, log_end_offset: i64) -> LeaderEpochs {
        let mut entries: Vec<EpochEntry> = Vec::new();
        for entry in &self.entries {
            if entry.start_offset >= log_end_offset {
                break;
            }
            if entry.start_offset <= log_start_offset {
                entries.clear();
            }
            entries.push(EpochEntry {
                epoch: entry.epoch,
                start_offset: entry.start_offset.max(log_start_offset),
            });
        }
        LeaderEpochs { entries }
    }

    /// The epoch that `requested` (or the last one before it) is, and where it ended.
    pub fn end_offset_for(&self, requested: i32, log_end_offset: i64) -> (i32, i64) {
        let undefined = (UNDEFINED_EPOCH, UNDEFINED_EPOCH_OFFSET);
        let Some(latest) = self.latest() else {
            return undefined;
        };
        if requested == UNDEFINED_EPOCH || requested > latest {
            return undefined;
        }
        if requested == latest {
            return (requested, log_end_offset);
        }
        let above = self
            .entries
            .partition_point(|entry| entry.epoch <= requested);
        let Some(next) = self.entries.get(above) else {
            return undefined;
        };
        match above
            .checked_sub(1)
            .and_then(|floor| self.entries.get(floor))
        {
            Some(floor) => (floor.epoch, next.start_offset),
            None => (requested, next.start_offset),
        }
    }

    /// The list of a partition's file; none when the file is missing or makes no sense, and the
    /// caller builds the list from the batches again.
    pub(crate) fn read(
        dir: &dyn Dir,
        partition_dir: &str,
    ) -> Result<Option<LeaderEpochs>, StorageError> {
        match LeaderEpochCheckpointFile::read(dir, partition_dir) {
            Ok(lines) if lines.is_empty() => Ok(None),
            Ok(lines) => Ok(LeaderEpochs::from_lines(&lines)),
            Err(StorageError::CorruptCheckpoint { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, dir: &dyn Dir, partition_dir: &str) -> Result<(), StorageError> {
        let lines: Vec<(i32, i64)> = self
            .entries
            .iter()
            .map(|entry| (entry.epoch, entry.start_offset))
            .collect();
        LeaderEpochCheckpointFile::write(dir, partition_dir, &lines)
    }

    fn from_lines(lines: &[(i32, i64)]) -> Option<LeaderEpochs> {
        let rises = lines
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let entries = lines
            .iter()
            .map(|&(epoch, start_offset)| EpochEntry {
                epoch,
                start_offset,
            })
            .collect();
        rises.then_some(LeaderEpochs { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs {
            entries: entries
                .iter()
                .map(|&(epoch, start_offset)| EpochEntry {
                    epoch,
                    start_offset,
                })
                .collect(),
        }
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(2, 10), (4, 20), (7, 35)]);
        let table = [
            (-1, (-1, -1)),
            (1, (1, 10)),
            (2, (2, 20)),
            (3, (2, 20)),
            (4, (4, 35)),
            (6, (4, 35)),
            (7, (7, 50)),
            (8, (-1, -1)),
        ];
        for (requested, expected) in table {
            assert_eq!(
                epochs.end_offset_for(requested, 50),
                expected,
                "{requested}"
            );
        }
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 5), (-1, -1));
    }

    #[test]
    fn only_a_newer_epoch_is_added_and_an_empty_one_is_forgotten() {
        let list = epochs(&[(1, 0)]);
        assert_eq!(list.with(1, 5), None);
        assert_eq!(list.with(0, 5), None);
        assert_eq!(list.with(2, 5), Some(epochs(&[(1, 0), (2, 5)])));
        assert_eq!(
            epochs(&[(1, 0), (2, 5)]).with(3, 5),
            Some(epochs(&[(1, 0), (3, 5)]))
        );
    }

    #[test]
    fn clipping_keeps_the_epoch_of_the_first_record() {
        let list = epochs(&[(1, 0), (2, 10), (3, 20), (4, 30)]);
        assert_eq!(list.clipped(15, 30), epochs(&[(2, 15), (3, 20)]));
        assert_eq!(list.clipped(0, 100), list);
    }

    #[test]
    fn a_list_that_does_not_rise_is_not_believed() {
        assert!(LeaderEpochs::from_lines(&[(0, 0), (3, 1042)]).is_some());
        assert!(LeaderEpochs::from_lines(&[(3, 0), (3, 1)]).is_none());
        assert!(LeaderEpochs::from_lines(&[(3, 5), (4, 1)]).is_none());
    }
}
