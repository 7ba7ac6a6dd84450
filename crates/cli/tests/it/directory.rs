//! A log directory made with the log engine, segment by segment, and read back without the binary.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastword_record::{
    BatchBuilder, BatchSpec, Decompressor, RecordBatches, TopicId, TopicPartition,
};
use lastword_storage::{
    AppendOrigin, CleanupPolicy, Clock, Dir, FsDir, Identity, Isolation, Log, LogConfig,
    LogManager, LogManagerConfig, ReadRequest, StorageError,
};

/// The clock of everything that is written here.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// Offset, key, value.
pub type Row = (i64, String, Option<String>);

/// An open directory.
pub struct Directory {
    manager: Arc<LogManager>,
    path: PathBuf,
}

impl Directory {
    pub fn open(path: &Path) -> Directory {
        let dir = Arc::new(FsDir::open(path).expect("directory"));
        let config = LogManagerConfig {
            identity: Identity {
                cluster_id: None,
                node_id: 1,
            },
            ..LogManagerConfig::default()
        };
        let config_of = |_: &str| LogConfig::default();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let clock = Clock::manual(NOW_MS);
            match LogManager::open(config.clone(), dir.clone(), clock, &config_of) {
                Ok(manager) => {
                    let path = path.to_owned();
                    return Directory { manager, path };
                }
                // A child that another test is just starting still has the lock that was given back.
                Err(StorageError::Io { source, .. })
                    if source.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {}
                Err(error) => panic!("open: {error}"),
            }
        }
    }

    /// A partition with these segments and an empty active one; a record is `key=value`, or `key` for a tombstone.
    pub fn write(&self, topic: &str, partition: i32, segments: &[&[String]]) {
        let topic_partition = TopicPartition::new(topic, partition);
        let config = LogConfig {
            cleanup_policy: CleanupPolicy {
                compact: true,
                delete: false,
            },
            ..LogConfig::default()
        };
        let id = TopicId([topic.len() as u8 + 1; 16]);
        let log = self.manager.get(&topic_partition).unwrap_or_else(|| {
            self.manager
                .create(&topic_partition, id, config)
                .expect("create")
        });
        for segment in segments {
            for records in segment.chunks(50) {
                append(&log, records);
            }
            log.roll().expect("roll");
        }
        log.sync().expect("sync");
    }

    /// A transaction of producer 7 with one record in a segment of its own, and no end.
    pub fn write_open_transaction(&self, topic: &str, partition: i32) {
        let log = self.manager.get(&TopicPartition::new(topic, partition));
        let log = log.expect("partition");
        let mut builder = BatchBuilder::new(BatchSpec {
            producer_id: 7,
            producer_epoch: 0,
            base_sequence: 0,
            is_transactional: true,
            ..BatchSpec::default()
        });
        builder.push(0, NOW_MS, Some(b"open"), Some(b"1"), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).expect("batch");
        log.append(&bytes, AppendOrigin::Client, 0).expect("append");
        log.roll().expect("roll");
        log.sync().expect("sync");
    }

    /// Closed, and free for another process: not before children that other tests are just starting let go of the lock.
    pub fn close(self) {
        self.manager.close().expect("close");
        drop(self.manager);
        let dir = FsDir::open(&self.path).expect("directory");
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = dir.lock() {
            assert!(Instant::now() < deadline, "lock: {error}");
        }
    }

    /// Every record of a partition.
    pub fn rows(&self, topic: &str, partition: i32) -> Vec<Row> {
        let log = self.manager.get(&TopicPartition::new(topic, partition));
        let log = log.expect("partition");
        let mut rows = Vec::new();
        let mut offset = log.offsets().log_start_offset;
        let mut decompressor = Decompressor::new(1 << 24);
        while offset < log.offsets().log_end_offset {
            let request = ReadRequest {
                offset,
                max_bytes: 1 << 20,
                min_one_batch: true,
                isolation: Isolation::HighWatermark,
            };
            let mut bytes = Vec::new();
            let data = log.read(request).expect("read");
            data.read_into(&mut bytes).expect("bytes");
            if bytes.is_empty() {
                break;
            }
            for batch in RecordBatches::new(&bytes) {
                let batch = batch.expect("batch");
                batch.verify_crc().expect("checksum");
                for record in batch.records(&mut decompressor).expect("records") {
                    let record = record.expect("record");
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let key = text(record.key.unwrap_or_default());
                    rows.push((record.offset, key, record.value.map(text)));
                }
                offset = batch.header().last_offset() + 1;
            }
        }
        rows
    }
}

fn append(log: &Log, records: &[String]) {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for (delta, record) in records.iter().enumerate() {
        let (key, value) = match record.split_once('=') {
            Some((key, value)) => (key, Some(value.as_bytes())),
            None => (record.as_str(), None),
        };
        builder.push(delta as i64, NOW_MS, Some(key.as_bytes()), value, &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).expect("batch");
    log.append(&bytes, AppendOrigin::Client, 0).expect("append");
}

/// The rows of a closed directory.
pub fn rows(path: &Path, topic: &str, partition: i32) -> Vec<Row> {
    let directory = Directory::open(path);
    let rows = directory.rows(topic, partition);
    directory.close();
    rows
}

/// `a=1 b=2 c`: records.
pub fn records(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `0 a=1, 2 c`: rows.
pub fn shown(rows: &[Row]) -> String {
    let shown = rows.iter().map(|(offset, key, value)| match value {
        Some(value) => format!("{offset} {key}={value}"),
        None => format!("{offset} {key}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
