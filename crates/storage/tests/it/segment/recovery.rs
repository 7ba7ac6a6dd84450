//! Recovery cuts a torn tail, and nothing that a good batch follows.

use lastword_storage::dir::CrashModel;
use lastword_storage::segment::{AbortedTransaction, IndexSettings, Recovered, recover};

use super::*;

const SETTINGS: IndexSettings = IndexSettings {
    index_interval_bytes: 200,
    segment_index_bytes: 10 << 20,
};

fn recover_from(segment: &Segment, position: u32) -> Result<(Recovered, Vec<i64>), StorageError> {
    let mut seen = Vec::new();
    let recovered = recover(segment, position, &mut |_, batch| {
        seen.push(batch.header().base_offset);
        Ok(())
    })?;
    Ok((recovered, seen))
}

/// Ten batches, and the positions where they start.
fn ten_batches(dir: &SimDir) -> (Segment, Vec<u32>) {
    let segment = create(dir, SETTINGS);
    let positions = (100..110)
        .map(|offset| append(&segment, &single(offset, offset * 10, 60)))
        .collect();
    (segment, positions)
}

#[test]
fn a_whole_log_is_left_as_it_is_and_its_indexes_are_rebuilt() {
    let dir = partition();
    let (segment, positions) = ten_batches(&dir);
    segment.seal().unwrap();
    let good = dir.files();
    for &from in &[&[0], &positions[..], &[segment.size_bytes()]].concat() {
        let opened = open(&dir, SETTINGS);
        let (recovered, seen) = recover_from(&opened, from).unwrap();
        assert_eq!(
            (recovered.truncated_bytes, recovered.next_offset),
            (0, 110),
            "from {from}"
        );
        assert_eq!(recovered.valid_bytes, segment.size_bytes());
        assert_eq!(
            seen.len(),
            positions
                .iter()
                .filter(|position| **position >= from)
                .count()
        );
        assert_eq!(dir.files(), good, "from {from}");
        assert_eq!((opened.max_timestamp(), opened.next_offset()), (1_090, 110));
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_at_the_last_whole_batch() {
    let dir = partition();
    let (segment, positions) = ten_batches(&dir);
    let log = bytes_of(&dir, LOG);
    for len in 0..segment.size_bytes() {
        for fill in [None, Some(0), Some(0xFF)] {
            let torn = dir.crash(CrashModel::Killed, 0);
            let file = torn.open(LOG).unwrap();
            file.truncate(len.into()).unwrap();
            if let Some(fill) = fill {
                let rest = vec![fill; 50.min(log.len() - len as usize)];
                file.write_all_at(&rest, len.into()).unwrap();
            }
            let opened = open(&torn, SETTINGS);
            let (recovered, seen) = recover_from(&opened, 0).unwrap();
            let starts = positions
                .iter()
                .skip(1)
                .copied()
                .chain([segment.size_bytes()]);
            // A fill may happen to be what was there.
            let kept = torn.open(LOG).unwrap().len().unwrap() as u32;
            let least = starts.filter(|end| *end <= len).max().unwrap_or(0);
            assert!(
                recovered.valid_bytes == kept && kept >= least,
                "len {len}, fill {fill:?}"
            );
            assert_eq!(recovered.next_offset, 100 + seen.len() as i64);
            assert_eq!(bytes_of(&torn, LOG), log[..kept as usize]);
            assert_eq!(scan_all(&opened).len(), seen.len());
            assert!(!opened.needs_recovery());
            append(&opened, &single(recovered.next_offset, 1, 10));
            assert!(!open(&torn, SETTINGS).needs_recovery());
        }
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_reported_and_nothing_is_cut() {
    let dir = partition();
    let (_, positions) = ten_batches(&dir);
    let log = bytes_of(&dir, LOG);
    // The leader epoch of a batch is outside of its checksum.
    let is_epoch = |bit: u64| (12 * 8..16 * 8).contains(&(bit - u64::from(positions[4]) * 8));
    for bit in
        (u64::from(positions[4]) * 8..u64::from(positions[5]) * 8).filter(|bit| !is_epoch(*bit))
    {
        let damaged = dir.crash(CrashModel::Killed, 0);
        damaged.flip_bit(LOG, bit).unwrap();
        let opened = open(&damaged, SETTINGS);
        match recover_from(&opened, 0) {
            Err(StorageError::CorruptSegment {
                file,
                position,
                reason,
            }) => {
                assert_eq!(file, LOG);
                // A larger base offset, which is outside of the checksum, shows at the batch after it.
                let is_offset = bit < (u64::from(positions[4]) + 8) * 8;
                let expected = [positions[4].into(), u64::from(positions[5])];
                assert!(
                    expected[..=usize::from(is_offset)].contains(&position),
                    "bit {bit}: {reason}"
                );
                assert!(reason.contains("a valid batch follows"), "{reason}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        assert_eq!(bytes_of(&damaged, LOG).len(), log.len(), "bit {bit}");
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_cuts_that_batch_only() {
    let dir = partition();
    let (segment, positions) = ten_batches(&dir);
    for bit in ((u64::from(positions[9]) + 16) * 8..u64::from(segment.size_bytes()) * 8).step_by(3)
    {
        let damaged = dir.crash(CrashModel::Killed, 0);
        damaged.flip_bit(LOG, bit).unwrap();
        let (recovered, _) = recover_from(&open(&damaged, SETTINGS), 0).unwrap();
        assert_eq!(
            (recovered.valid_bytes, recovered.next_offset),
            (positions[9], 109),
            "bit {bit}"
        );
    }
}

#[test]
fn a_good_last_batch_is_not_cut_because_the_one_before_claims_its_offset() {
    let dir = partition();
    let (_, positions) = ten_batches(&dir);
    let len = bytes_of(&dir, LOG).len();
    // Offset 108 becomes 109 and more; the last byte of the base offset is the one to flip.
    dir.flip_bit(LOG, (u64::from(positions[8]) + 7) * 8)
        .unwrap();
    let recovered = recover_from(&open(&dir, SETTINGS), 0);
    assert!(
        matches!(recovered, Err(StorageError::CorruptSegment { .. })),
        "{recovered:?}"
    );
    assert_eq!(bytes_of(&dir, LOG).len(), len);
}

#[test]
fn preallocated_zeros_are_a_torn_tail() {
    let dir = partition();
    let (segment, _) = ten_batches(&dir);
    let size_bytes = segment.size_bytes();
    dir.open(LOG)
        .unwrap()
        .truncate(u64::from(size_bytes) + 300_000)
        .unwrap();
    // Kafka leaves its indexes with zeros as well.
    dir.open(INDEX).unwrap().truncate(8_000).unwrap();
    dir.open(TIME_INDEX).unwrap().truncate(12_000).unwrap();
    let opened = open(&dir, SETTINGS);
    let (recovered, _) = recover_from(&opened, 0).unwrap();
    assert_eq!(
        (recovered.valid_bytes, recovered.truncated_bytes),
        (size_bytes, 300_000)
    );
    assert_eq!(opened.max_timestamp(), 1_090);
}

#[test]
fn entries_of_markers_from_the_starting_position_on_are_forgotten() {
    let dir = partition();
    let (segment, positions) = ten_batches(&dir);
    let entry = |last_offset| AbortedTransaction {
        producer_id: 1,
        first_offset: last_offset - 1,
        last_offset,
        last_stable_offset: 100,
    };
    for last_offset in [101, 104, 108] {
        segment.append_aborted(&entry(last_offset)).unwrap();
    }
    let left = |from: u32| {
        let copy = dir.crash(CrashModel::Killed, 0);
        let opened = open(&copy, SETTINGS);
        recover_from(&opened, from).unwrap();
        opened.append_aborted(&entry(109)).unwrap();
        open(&copy, SETTINGS).transaction_index().entries().unwrap()
    };
    assert_eq!(left(segment.size_bytes()), [101, 104, 108, 109].map(entry));
    assert_eq!(left(positions[4]), [101, 109].map(entry));
    assert_eq!(left(positions[5]), [101, 104, 109].map(entry));
    assert_eq!(left(0), [109].map(entry));
}

#[test]
fn an_error_of_the_caller_stops_recovery_before_anything_is_cut() {
    let dir = partition();
    let (segment, _) = ten_batches(&dir);
    dir.open(LOG)
        .unwrap()
        .truncate(u64::from(segment.size_bytes()) - 1)
        .unwrap();
    let opened = open(&dir, SETTINGS);
    let stopped = recover(&opened, 0, &mut |_, _| Err(StorageError::Closed));
    assert!(matches!(stopped, Err(StorageError::Closed)));
    assert_eq!(bytes_of(&dir, LOG).len() as u32, segment.size_bytes() - 1);
    assert!(opened.needs_recovery());
}

#[test]
fn damage_before_the_starting_position_is_not_cut_either() {
    let dir = partition();
    let (_, positions) = ten_batches(&dir);
    dir.flip_bit(LOG, (u64::from(positions[2]) + 16) * 8)
        .unwrap();
    dir.remove(INDEX).unwrap();
    let len = bytes_of(&dir, LOG).len();
    let opened = open(&dir, SETTINGS);
    assert!(opened.needs_recovery());
    assert!(matches!(
        recover_from(&opened, positions[6]),
        Err(StorageError::CorruptSegment { .. })
    ));
    assert_eq!(bytes_of(&dir, LOG).len(), len);
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let dir = partition();
        let (segment, _) = ten_batches(&dir);
        segment
            .append_aborted(&AbortedTransaction {
                producer_id: 1,
                first_offset: 100,
                last_offset: 105,
                last_stable_offset: 100,
            })
            .unwrap();
        for path in [LOG, INDEX, TIME_INDEX, TRANSACTION_INDEX] {
            for _ in 0..random.below(4) {
                let len = bytes_of(&dir, path).len() as u64;
                let garbage: Vec<u8> = (0..random.below(20))
                    .map(|_| random.below(256) as u8)
                    .collect();
                dir.open(path)
                    .unwrap()
                    .write_all_at(&garbage, random.below(len + 5))
                    .unwrap();
            }
        }
        let Ok(opened) = try_open(&dir, SETTINGS) else {
            continue;
        };
        for offset in 95..115 {
            let _ = opened.position_of(offset);
        }
        let _ = opened.transaction_index().entries();
        let _ =
            opened.offset_for_timestamp(1_050, 0, &mut lastword_record::Decompressor::new(1 << 16));
        let _ = recover_from(&opened, 0);
    }
}
