//! Producer state at load: the newest usable snapshot, then the batches behind it.
//!
//! Entries of the transaction index that recovery has forgotten are written again on the way, from the markers.
//! Takes no lock: nobody else knows the log yet.

use std::sync::Arc;

use lastword_record::RecordBatch;

use super::Loader;
use crate::error::StorageError;
use crate::log::snapshots;
use crate::log::validate::end_transaction_marker;
use crate::producer_state::{CompletedTransaction, ProducerStateManager};
use crate::segment::{AbortedTransaction, Segment};

impl Loader<'_> {
    /// The producers of a log as they were when its last batch had been appended.
    pub(super) fn load_producers(
        &mut self,
        segments: &[Arc<Segment>],
    ) -> Result<ProducerStateManager, StorageError> {
        let dir = &*self.context.dir;
        let log_end_offset = segments.last().map_or(0, |segment| segment.next_offset());
        let limit = self.transactions_from.unwrap_or(log_end_offset);
        let bases: Vec<i64> = segments
            .iter()
            .map(|segment| segment.base_offset())
            .collect();
        let newest = snapshots::load_newest(dir, &self.partition_dir, limit, log_end_offset)?;
        snapshots::remove_strays(dir, &self.partition_dir, &bases)?;
        let first_offset = bases.first().copied().unwrap_or(0);
        let mut producers = match newest {
            Some(snapshot) => ProducerStateManager::from_entries(
                snapshot.entries,
                snapshot.offset,
                self.now_ms(),
                self.context.producer_id_expiration_ms(),
            ),
            None => ProducerStateManager::new(first_offset),
        };
        for segment in segments {
            if segment.next_offset() > producers.map_end_offset() {
                self.replay_producers(segment, &mut producers)?;
            }
        }
        producers.advance_to(log_end_offset);
        producers.on_high_watermark(log_end_offset);
        producers.expire(self.now_ms(), self.context.producer_id_expiration_ms());
        Ok(producers)
    }

    /// Applies the batches of a segment that the table has not seen. Reads headers only, and the
    /// records of markers.
    fn replay_producers(
        &mut self,
        segment: &Segment,
        producers: &mut ProducerStateManager,
    ) -> Result<(), StorageError> {
        let from = producers.map_end_offset();
        let Some(start) = segment.position_of(from)? else {
            return Ok(());
        };
        // A conversion forgets the entries of its own segment only: those of later ones are still there.
        let known = match self.transactions_from {
            Some(_) => segment.transaction_index().entries()?.last().copied(),
            None => None,
        };
        let mut scan = segment.scan_headers(start.position, segment.size_bytes());
        while let Some(batch) = scan.next_batch()? {
            let header = batch.header;
            if header.base_offset < from {
                continue;
            }
            let mut marker = None;
            if header.is_control() {
                let mut bytes = vec![0; batch.size_bytes as usize];
                let count = segment
                    .read_at(&mut bytes, batch.position)
                    .map_err(|error| StorageError::io("read", segment.log_path(), error))?;
                bytes.truncate(count);
                marker =
                    end_transaction_marker(RecordBatch::parse(&bytes)?, &mut self.decompressor)?;
            }
            let Some(completed) = producers.apply(&header, marker) else {
                continue;
            };
            let is_forgotten = self
                .transactions_from
                .is_some_and(|offset| completed.last_offset >= offset);
            let is_known = known.is_some_and(|last| last.last_offset >= completed.last_offset);
            if completed.is_aborted && is_forgotten && !is_known {
                segment.append_aborted(&aborted_transaction(producers, &completed))?;
            }
            producers.complete(&completed);
        }
        Ok(())
    }
}

/// The transaction index entry of an abort whose marker has just been applied.
pub(in crate::log) fn aborted_transaction(
    producers: &ProducerStateManager,
    completed: &CompletedTransaction,
) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: completed.producer_id,
        first_offset: completed.first_offset,
        last_offset: completed.last_offset,
        last_stable_offset: producers.last_stable_offset_after(completed),
    }
}
