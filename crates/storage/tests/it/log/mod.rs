//! How a log behaves: each file is one promise. The helpers here write and read small logs in a
//! simulated directory.

mod append_and_read;
mod crash;
mod deletion;
mod group_commit;
mod manager;
mod model;
mod producers;
mod recovery;
mod rolling;
mod swap;
mod timestamps;
mod upgrade;

use std::sync::Arc;

use lastword_record::{
    BatchBuilder, BatchSpec, Decompressor, RecordBatches, TopicId, TopicPartition,
};
use lastword_storage::{
    AppendOrigin, Appended, Clock, Isolation, Log, LogConfig, LogManager, LogManagerConfig,
    ReadRequest, SimDir, StorageError,
};

/// The time at which every test starts.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A record as a test compares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub offset: i64,
    pub key: String,
    pub value: Option<String>,
}

pub fn entry(offset: i64, key: &str, value: &str) -> Entry {
    Entry {
        offset,
        key: key.to_string(),
        value: Some(value.to_string()),
    }
}

pub fn topic_partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

pub fn small_segments() -> LogConfig {
    LogConfig {
        internal_segment_bytes: Some(400),
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// An engine on a simulated disk: what a test opens, crashes and opens again.
pub struct Scene {
    pub dir: SimDir,
    pub clock: Clock,
    pub config: LogConfig,
    pub manager: Arc<LogManager>,
}

impl Scene {
    pub fn new(config: LogConfig) -> Scene {
        let clock = Clock::manual(NOW_MS);
        let dir = SimDir::with_clock(clock.clone());
        let scene = Scene::on(dir, clock, config);
        let id = TopicId::from_random_bytes([3; 16]);
        let config = scene.config.clone();
        scene
            .manager
            .create(&topic_partition(), id, config)
            .expect("created");
        scene
    }

    /// Opens a directory as it is.
    pub fn on(dir: SimDir, clock: Clock, config: LogConfig) -> Scene {
        let manager = open(&dir, &clock, &config).expect("the directory opens");
        Scene {
            dir,
            clock,
            config,
            manager,
        }
    }

    pub fn log(&self) -> Arc<Log> {
        match self.manager.get(&topic_partition()) {
            Some(log) => log,
            None => panic!("the log is not there: {:?}", self.manager.failed()),
        }
    }

    /// Stops in order and opens again.
    pub fn reopened(self) -> Scene {
        self.manager.close().expect("closes");
        let Scene {
            dir,
            clock,
            config,
            manager,
        } = self;
        drop(manager);
        Scene::on(dir, clock, config)
    }

    /// What is there after the power failed now.
    pub fn crashed(&self, model: lastword_storage::dir::CrashModel, seed: u64) -> Scene {
        let dir = self.dir.crash(model, seed);
        Scene::on(dir, self.clock.clone(), self.config.clone())
    }
}

pub fn open(
    dir: &SimDir,
    clock: &Clock,
    config: &LogConfig,
) -> Result<Arc<LogManager>, StorageError> {
    let config = config.clone();
    LogManager::open(
        LogManagerConfig::default(),
        Arc::new(dir.clone()),
        clock.clone(),
        &move |_| config.clone(),
    )
}

/// A batch of these keys and values; no value is a tombstone.
pub fn batch(spec: BatchSpec, records: &[(&str, Option<&str>)]) -> Vec<u8> {
    batch_at(spec, NOW_MS, records)
}

pub fn batch_at(spec: BatchSpec, timestamp: i64, records: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(spec);
    for (offset, (key, value)) in (spec.base_offset..).zip(records) {
        let value = value.map(str::as_bytes);
        builder.push(offset, timestamp, Some(key.as_bytes()), value, &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).expect("a batch");
    bytes
}

/// Appends one batch of a client.
pub fn append(log: &Log, records: &[(&str, Option<&str>)]) -> Appended {
    let bytes = batch(BatchSpec::default(), records);
    log.append(&bytes, AppendOrigin::Client, 0)
        .expect("appended")
}

pub fn append_one(log: &Log, key: &str, value: &str) -> i64 {
    append(log, &[(key, Some(value))]).base_offset
}

pub fn request(offset: i64, isolation: Isolation) -> ReadRequest {
    ReadRequest {
        offset,
        max_bytes: 1 << 20,
        min_one_batch: true,
        isolation,
    }
}

/// Every data record from `offset` on, by as many reads as it takes.
pub fn read_from(log: &Log, offset: i64, isolation: Isolation) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut next = offset;
    loop {
        let data = log.read(request(next, isolation)).expect("read");
        let mut bytes = Vec::new();
        data.read_into(&mut bytes).expect("bytes");
        if bytes.is_empty() {
            return entries;
        }
        next = decode(&bytes, next, &mut entries);
    }
}

pub fn read_all(log: &Log) -> Vec<Entry> {
    read_from(
        log,
        log.offsets().log_start_offset,
        Isolation::HighWatermark,
    )
}

/// Adds the records at or above `from`; answers the next offset.
pub fn decode(bytes: &[u8], from: i64, entries: &mut Vec<Entry>) -> i64 {
    let mut decompressor = Decompressor::new(1 << 20);
    let mut next = from;
    for batch in RecordBatches::new(bytes) {
        let batch = batch.expect("a whole batch");
        batch.verify_crc().expect("checksum");
        let header = *batch.header();
        assert!(
            header.last_offset() >= next,
            "a batch before the offset that was asked for"
        );
        next = header.next_offset();
        if header.is_control() {
            continue;
        }
        for record in batch.records(&mut decompressor).expect("records") {
            let record = record.expect("a record");
            if record.offset >= from {
                entries.push(Entry {
                    offset: record.offset,
                    key: text(record.key.unwrap_or(b"")),
                    value: record.value.map(text),
                });
            }
        }
    }
    next
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
