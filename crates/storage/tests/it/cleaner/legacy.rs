//! Logs that an old Kafka began, with messages of magic 0 and 1.

use std::sync::Arc;

use lastword_record::{
    BatchBuilder, BatchSpec, CompressionType, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
use lastword_storage::cleaner::LogCleaner;
use lastword_storage::clock::Clock;
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::{CrashModel, Dir, SimDir};
use lastword_storage::log::{Isolation, Log, ReadRequest};
use lastword_storage::manager::LogManager;

use super::scene::{
    Batch, RETENTION_MS, batches_in, batches_of, log_config, open, topic_partition,
};
use crate::legacy_messages::{Message, bytes_of, message, wrapper};

/// A partition whose first segment holds these bytes; the active one begins behind them, in magic 2.
struct OldLog {
    dir: Arc<SimDir>,
    clock: Clock,
    manager: Arc<LogManager>,
    log: Arc<Log>,
}

impl OldLog {
    fn new(sealed: &[u8], active_base_offset: i64) -> OldLog {
        OldLog::with_index(sealed, active_base_offset, None)
    }

    /// `index` is the content of the `.index` of the first segment.
    fn with_index(sealed: &[u8], active_base_offset: i64, index: Option<&[u8]>) -> OldLog {
        let clock = Clock::manual(0);
        let dir = Arc::new(SimDir::with_clock(clock.clone()));
        dir.create_dir("t-0").unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let file = dir.create(path).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file.sync_data().unwrap();
        };
        put("t-0/00000000000000000000.log", sealed);
        if let Some(index) = index {
            put("t-0/00000000000000000000.index", index);
            put("t-0/00000000000000000000.timeindex", &[]);
        }
        let active = new_batch(active_base_offset, "z", "1");
        put(&format!("t-0/{active_base_offset:020}.log"), &active);
        put(".kafka_cleanshutdown", b"");
        dir.sync_dir("t-0").unwrap();
        dir.sync_dir("").unwrap();
        OldLog::on(dir, clock)
    }

    fn on(dir: Arc<SimDir>, clock: Clock) -> OldLog {
        let manager = open(dir.clone(), &clock, &log_config());
        let log = manager.get(&topic_partition());
        let log = log.unwrap_or_else(|| panic!("{:?}", manager.failed()));
        OldLog {
            dir,
            clock,
            manager,
            log,
        }
    }

    fn crashed(&self) -> OldLog {
        let dir = Arc::new(self.dir.crash(CrashModel::DurableOnly, 0));
        OldLog::on(dir, self.clock.clone())
    }

    fn clean_at(&self, now_ms: i64) {
        let Clock::Manual(now) = &self.clock else {
            panic!("a test has a manual clock")
        };
        now.store(now_ms, std::sync::atomic::Ordering::SeqCst);
        let cleaner = LogCleaner::new(self.manager.clone(), CleanerConfig::default()).unwrap();
        cleaner.clean_now(&topic_partition()).unwrap();
    }

    fn sealed(&self) -> Vec<Batch> {
        let segments = self.log.segments();
        let (_, sealed) = segments.as_slice().split_last().unwrap();
        sealed
            .iter()
            .flat_map(|segment| batches_of(segment))
            .collect()
    }

    /// Key, value, offset and timestamp of every record below the active segment.
    fn rows(&self) -> Vec<(String, Option<String>, i64, i64)> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let batches = self.sealed().into_iter();
        batches
            .flat_map(|batch| batch.rows)
            .map(|row| {
                let key = text(&row.key.unwrap());
                (key, row.value.as_ref().map(text), row.offset, row.timestamp)
            })
            .collect()
    }

    fn fetch(&self, offset: i64) -> Vec<Batch> {
        let request = ReadRequest {
            offset,
            max_bytes: 1 << 20,
            min_one_batch: true,
            isolation: Isolation::HighWatermark,
        };
        let mut bytes = Vec::new();
        self.log
            .read(request)
            .unwrap()
            .read_into(&mut bytes)
            .unwrap();
        batches_in(&bytes)
    }
}

fn new_batch(offset: i64, key: &str, value: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: offset,
        ..BatchSpec::default()
    });
    let (key, value) = (key.as_bytes(), value.as_bytes());
    builder.push(offset, 1_000 + offset, Some(key), Some(value), &[]);
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

fn old(magic: u8, offset: i64, key: &str, value: &str) -> Message {
    message(magic, offset, 1_000 + offset, key, Some(value))
}

fn row(key: &str, value: &str, offset: i64, timestamp: i64) -> (String, Option<String>, i64, i64) {
    (key.to_string(), Some(value.to_string()), offset, timestamp)
}

#[test]
fn case_15_two_records_of_one_key_and_one_offset_both_stay() {
    let twins = [
        old(0, 3, "k", "older"),
        old(0, 5, "k", "one"),
        old(0, 5, "k", "other"),
        old(0, 6, "j", "1"),
    ];
    let alone = bytes_of(&twins);
    let wrapped = wrapper(CompressionType::Gzip, &twins).bytes();
    for sealed in [alone, wrapped] {
        let log = OldLog::new(&sealed, 10);
        let expected = [
            row("k", "one", 5, -1),
            row("k", "other", 5, -1),
            row("j", "1", 6, -1),
        ];
        for round in 0..2 {
            log.clean_at(2_000 + round);
            assert_eq!(log.rows(), expected, "round {round}");
        }
        let fetched = log.fetch(5);
        let rows: Vec<i64> = fetched[0].rows.iter().map(|row| row.offset).collect();
        assert!(rows.starts_with(&[5, 5]), "{rows:?}");
        let found = log.log.segments().first().position_of(5).unwrap().unwrap();
        assert_eq!(found.header.base_offset, fetched[0].header.base_offset);
        // Every batch is verified after a power cut.
        assert_eq!(log.crashed().rows(), expected);
    }
}

#[test]
fn case_15_a_later_record_supersedes_both() {
    let messages = [
        old(1, 5, "k", "one"),
        old(1, 5, "k", "other"),
        old(1, 7, "k", "last"),
    ];
    let log = OldLog::new(&bytes_of(&messages), 10);
    log.clean_at(2_000);
    assert_eq!(log.rows(), [row("k", "last", 7, 1_007)]);
}

#[test]
fn case_63_a_gzip_wrapper_of_magic_0_or_1_becomes_one_batch() {
    for magic in [0, 1] {
        let inner = [
            old(magic, 10, "a", "1"),
            old(magic, 11, "b", "1"),
            old(magic, 14, "c", "1"),
        ];
        let alone = [
            old(magic, 15, "a", "2"),
            message(magic, 16, 1_016, "b", None),
        ];
        let wrapped = wrapper(CompressionType::Gzip, &inner);
        let sealed = [wrapped.bytes(), bytes_of(&alone)].concat();
        let log = OldLog::new(&sealed, 20);
        let time = |offset: i64| {
            if magic == 0 {
                NO_TIMESTAMP
            } else {
                1_000 + offset
            }
        };

        let shape = |batches: &[Batch]| -> Vec<(i64, i64, i32, CompressionType)> {
            let headers = batches.iter().map(|batch| batch.header);
            headers
                .map(|header| {
                    let codec = header.compression().unwrap();
                    (
                        header.base_offset,
                        header.last_offset(),
                        header.record_count,
                        codec,
                    )
                })
                .collect()
        };
        let batches = log.sealed();
        assert_eq!(
            shape(&batches),
            [
                (10, 14, 3, CompressionType::Gzip),
                (15, 15, 1, CompressionType::None),
                (16, 16, 1, CompressionType::None),
            ]
        );
        for batch in &batches {
            let header = &batch.header;
            assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
            assert_eq!(header.producer_id, NO_PRODUCER_ID);
            assert_eq!(header.producer_epoch, NO_PRODUCER_EPOCH);
            assert_eq!(header.base_sequence, NO_SEQUENCE);
            assert_eq!(header.leader_epoch, -1);
            assert_eq!(header.base_timestamp, time(header.base_offset));
            assert_eq!(header.max_timestamp, time(header.last_offset()));
            assert_eq!(header.delete_horizon_ms(), None);
        }
        let tombstone = ("b".to_string(), None, 16, time(16));
        let all = [
            row("a", "1", 10, time(10)),
            row("b", "1", 11, time(11)),
            row("c", "1", 14, time(14)),
            row("a", "2", 15, time(15)),
            tombstone.clone(),
        ];
        assert_eq!(log.rows(), all);

        log.clean_at(2_000);
        let living = [
            row("c", "1", 14, time(14)),
            row("a", "2", 15, time(15)),
            tombstone,
        ];
        assert_eq!(log.rows(), living);
        let batches = log.sealed();
        // A rebuilt batch of magic 2 keeps its range; Kafka, which converts while it cleans, writes 14 to 14.
        assert_eq!(shape(&batches)[0], (10, 14, 1, CompressionType::Gzip));
        let horizon_ms = 2_000 + RETENTION_MS;
        assert_eq!(batches[2].header.delete_horizon_ms(), Some(horizon_ms));

        log.clean_at(horizon_ms);
        assert_eq!(log.rows(), living[..2]);
    }
}

#[test]
fn an_old_message_that_only_a_cleaning_meets_is_converted_then() {
    // Between batches of magic 2, with an index that leads to the last one: the start has no reason to look.
    let last = new_batch(2, "k", "3");
    let sealed = [
        new_batch(0, "k", "1"),
        old(1, 1, "j", "2").bytes(),
        last.clone(),
    ]
    .concat();
    let position = (sealed.len() - last.len()) as u32;
    let index = [2u32.to_be_bytes(), position.to_be_bytes()].concat();
    let log = OldLog::with_index(&sealed, 10, Some(&index));
    log.clean_at(2_000);
    assert_eq!(
        log.rows(),
        [row("j", "2", 1, 1_001), row("k", "3", 2, 1_002)]
    );
    assert_eq!(log.crashed().rows(), log.rows());
}
