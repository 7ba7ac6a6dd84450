//! What was synced is there after a power failure, and what is there was written.

use lastword_storage::dir::{CrashModel, OperationKind};
use lastword_storage::segment::{IndexSettings, recover};

use super::*;

const SETTINGS: IndexSettings = IndexSettings {
    index_interval_bytes: 150,
    segment_index_bytes: 10 << 20,
};

/// Creates a segment and appends nine batches, syncing after every third; returns the offset that was acknowledged.
fn append_and_sync(dir: &SimDir) -> i64 {
    let mut acknowledged = BASE_OFFSET;
    let mut run = || -> Result<(), StorageError> {
        let shared: Arc<dyn Dir> = Arc::new(dir.clone());
        let segment = Segment::create(shared, PARTITION, BASE_OFFSET, "", SETTINGS, 5_000)?;
        for round in 0..3 {
            for number in 0..3 {
                let offset = BASE_OFFSET + round * 3 + number;
                let batch = single(offset, offset, 80);
                segment.append(&batch, &[BatchHeader::parse(&batch).expect("a batch")])?;
            }
            segment.sync_log_data()?;
            dir.sync_dir(PARTITION)
                .map_err(|source| StorageError::io("sync", PARTITION, source))?;
            acknowledged = segment.next_offset();
        }
        segment.seal()?;
        segment.sync()
    };
    let _ = run();
    acknowledged
}

#[test]
fn acknowledged_batches_survive_a_crash_at_every_operation() {
    let total = {
        let dir = partition();
        append_and_sync(&dir);
        dir.operation_count()
    };
    assert!(total > 20);
    for operations in 1..=total {
        for model in CrashModel::ALL {
            for seed in 0..15 {
                let dir = partition();
                dir.crash_after(operations);
                let acknowledged = append_and_sync(&dir);
                let survivor = dir.crash(model, seed);
                let context = format!(
                    "operations {operations}, {model:?}, seed {seed}: {:?}",
                    dir.trace()
                );
                check_survivor(&survivor, acknowledged, &context);
            }
        }
    }
}

fn check_survivor(survivor: &SimDir, acknowledged: i64, context: &str) {
    if !survivor.exists(LOG).unwrap() {
        assert_eq!(acknowledged, BASE_OFFSET, "{context}");
        return;
    }
    let segment = try_open(survivor, SETTINGS).unwrap_or_else(|error| panic!("{error}, {context}"));
    let mut seen = Vec::new();
    let recovered = recover(&segment, 0, &mut |_, batch| {
        seen.push(batch.header().base_offset);
        Ok(())
    });
    match recovered {
        Ok(recovered) => {
            assert!(
                recovered.next_offset >= acknowledged,
                "{recovered:?}, {context}"
            );
            let expected: Vec<i64> = (BASE_OFFSET..recovered.next_offset).collect();
            assert_eq!(seen, expected, "{context}");
            // Recovery twice gives the same bytes, and so does opening what was recovered.
            segment.seal().unwrap();
            let files = survivor.files();
            recover(&open(survivor, SETTINGS), 0, &mut |_, _| Ok(())).unwrap();
            assert_eq!(survivor.files(), files, "{context}");
        }
        // Un-synced writes that survived in part, a later one and not an earlier one: reported, nothing cut.
        Err(StorageError::CorruptSegment { position, .. }) => {
            let header_bytes = single(BASE_OFFSET, 100, 80).len() as u64;
            assert!(
                position >= (acknowledged - BASE_OFFSET) as u64 * header_bytes,
                "{context}"
            );
        }
        Err(error) => panic!("{error}, {context}"),
    }
}

#[test]
fn a_failed_append_leaves_the_published_size_and_the_next_start_cuts_its_half() {
    let dir = partition();
    let segment = create(&dir, SETTINGS);
    append(&segment, &single(100, 1, 80));
    let size_bytes = segment.size_bytes();
    let batch = single(101, 1, 80);
    for errno in [5, 28] {
        dir.fail_next(OperationKind::Write, errno);
        match segment.append(&batch, &[BatchHeader::parse(&batch).unwrap()]) {
            Err(error @ StorageError::Io { .. }) => assert!(error.is_io()),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            (segment.size_bytes(), segment.next_offset()),
            (size_bytes, 101)
        );
    }
    let opened = open(&dir, SETTINGS);
    assert!(opened.needs_recovery());
    let recovered = recover(&opened, 0, &mut |_, _| Ok(())).unwrap();
    assert_eq!(
        (recovered.valid_bytes, recovered.next_offset),
        (size_bytes, 101)
    );
}

#[test]
fn a_failed_sync_is_an_io_error_with_the_file() {
    let dir = partition();
    let segment = create(&dir, SETTINGS);
    append(&segment, &single(100, 1, 80));
    dir.fail_next(OperationKind::SyncData, 5);
    match segment.sync() {
        Err(StorageError::Io {
            action: "sync",
            file,
            ..
        }) => assert_eq!(file, LOG),
        other => panic!("{other:?}"),
    }
}
