//! A log written in shorthand, cleaned, and read back in shorthand.
//!
//! ```text
//! [a1@0 b2@1]{p9 s0} | C@2{p9} nT@3 k=v@4t500
//! ```
//! - `a1@0` key `a`, value `1`, offset 0; `key=value@4` when either is longer; `aT@3` a tombstone; `n` is no key;
//! - `t500` the timestamp, else 1000 + offset;
//! - `[..]` a batch; a record alone is a batch of its own; `C@2`, `X@2` commit and abort markers;
//! - `{..}` of a batch: `p9` producer id, `e1` epoch, `s5` base sequence, `txn`, a codec's name, `lat` LogAppendTime;
//! - `|` ends a segment; `A:` is a comment: the rest is in the active one.
//!
//! What is read back has the range of a batch in front when its records do not say it (`0..2[b1@1]`), and its delete
//! horizon behind (`[aT@1]h500`).
//!
//! Every cleaning is checked: nothing of a surviving record or batch has changed that may not, every checksum is right,
//! no segment at or above the first uncleanable offset is touched, and a consumer that reads everything comes to the
//! same map as before.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lastword_record::control::{ControlRecordType, EndTxnMarker, end_txn_marker};
use lastword_record::{
    BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor, RecordBatch,
    RecordBatches, TopicId, TopicPartition, set_log_append_time,
};
use lastword_storage::cleaner::{CleanStats, LogCleaner, existing_key_hasher};
use lastword_storage::clock::Clock;
use lastword_storage::config::{CleanerConfig, CleanupPolicy, LogConfig};
use lastword_storage::dir::{CrashModel, Dir, SimDir};
use lastword_storage::log::{AppendOrigin, Isolation, Log, ReadRequest};
use lastword_storage::manager::{LogManager, LogManagerConfig};
use lastword_storage::segment::AbortedTransaction;
use lastword_storage::verify::{self, Kind, Request, Rules, Source, Verified};

pub const RETENTION_MS: i64 = 1_000;

/// A record with all that must not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<u8>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub sequence: i64,
    pub leader_epoch: i32,
    /// Without the delete horizon bit, and without the codec.
    pub attributes: i16,
    pub codec: CompressionType,
}

/// A batch as it lies in the log.
#[derive(Debug, Clone)]
pub struct Batch {
    pub header: BatchHeader,
    pub rows: Vec<Row>,
    pub bytes: Vec<u8>,
}

pub struct Scene {
    pub dir: Arc<SimDir>,
    pub clock: Clock,
    pub manager: Arc<LogManager>,
    pub cleaner: LogCleaner,
    pub log: Arc<Log>,
    pub cleaner_config: CleanerConfig,
    /// Everything that was ever written, by offset.
    written: BTreeMap<i64, Row>,
}

impl Scene {
    /// A log with this content at clock 0, with a dirty ratio of 0 and a delete retention of `RETENTION_MS`.
    pub fn new(text: &str) -> Scene {
        Scene::with(text, |_| {}, CleanerConfig::default())
    }

    pub fn with_config(text: &str, configure: impl FnOnce(&mut LogConfig)) -> Scene {
        Scene::with(text, configure, CleanerConfig::default())
    }

    /// With memory for about so many keys.
    pub fn with_memory_for(text: &str, keys: u64) -> Scene {
        Scene::with(
            text,
            |_| {},
            CleanerConfig {
                dedupe_buffer_size_bytes: keys * 24,
                ..CleanerConfig::default()
            },
        )
    }

    pub fn with(
        text: &str,
        configure: impl FnOnce(&mut LogConfig),
        cleaner_config: CleanerConfig,
    ) -> Scene {
        let mut config = log_config();
        configure(&mut config);
        let clock = Clock::manual(0);
        let dir = Arc::new(SimDir::with_clock(clock.clone()));
        let manager = open(dir.clone(), &clock, &config);
        let log = manager
            .create(&topic_partition(), TopicId([7; 16]), config)
            .unwrap();
        let cleaner = LogCleaner::new(manager.clone(), cleaner_config.clone()).unwrap();
        let mut scene = Scene {
            dir,
            clock,
            manager,
            cleaner,
            log,
            cleaner_config,
            written: BTreeMap::new(),
        };
        scene.write(text);
        scene
    }

    /// Appends more.
    pub fn write(&mut self, text: &str) {
        for step in parse(text) {
            match step {
                Step::Batch(bytes) => self.append(&bytes),
                Step::Roll => {
                    self.log.roll().unwrap();
                }
            }
        }
        self.log.sync().unwrap();
    }

    /// Appends batches that have their offsets.
    pub fn append(&mut self, bytes: &[u8]) {
        self.log.append(bytes, AppendOrigin::Replay, 0).unwrap();
        for batch in batches_in(bytes) {
            self.written
                .extend(batch.rows.into_iter().map(|row| (row.offset, row)));
        }
    }

    pub fn config(&self) -> LogConfig {
        (*self.log.config()).clone()
    }

    pub fn configure(&self, configure: impl FnOnce(&mut LogConfig)) {
        let mut config = self.config();
        configure(&mut config);
        self.log.update_config(config);
    }

    /// Cleans at a time.
    pub fn clean_at(&mut self, now_ms: i64) -> CleanStats {
        self.set_clock(now_ms);
        self.clean()
    }

    pub fn set_clock(&self, now_ms: i64) {
        let Clock::Manual(now) = &self.clock else {
            panic!("a test has a manual clock")
        };
        now.store(now_ms, std::sync::atomic::Ordering::SeqCst);
    }

    /// Cleans once and checks everything that must hold for any cleaning.
    pub fn clean(&mut self) -> CleanStats {
        let before = self.batches();
        let committed = self.committed_map();
        let status = self.cleaner.status_of(&topic_partition()).unwrap();
        let untouchable = status.bounds.unwrap().first_uncleanable_offset;
        let old = self.dir.crash(CrashModel::Killed, 0);
        let stats = self.cleaner.clean_now(&topic_partition()).unwrap();
        self.check(&before, &committed, untouchable);
        self.prove(&old);
        stats
    }

    /// Cleans as a thread would, if a thread would.
    pub fn clean_if_due(&mut self) -> bool {
        let before = self.batches();
        let committed = self.committed_map();
        let old = self.dir.crash(CrashModel::Killed, 0);
        let Some((_, result)) = self.cleaner.clean_next() else {
            return false;
        };
        result.unwrap();
        self.check(&before, &committed, i64::MAX);
        self.prove(&old);
        true
    }

    /// What `lastword verify` says of the cleaning that made this directory of the old one.
    fn prove(&self, old: &SimDir) {
        let verified = self.verify(old);
        let isolated = self.cleaner.status_of(&topic_partition()).unwrap();
        if isolated.isolated_segments.is_empty() {
            assert_eq!(verified.violations, [], "{verified:?}");
            assert_eq!(verified.not_cleaned, self.twins() as u64, "{verified:?}");
        } else {
            // A damaged segment is left as it is, and nothing can be proved of it.
            let first = &verified.violations[0];
            assert_eq!(first.kind, Kind::OldDamaged, "{verified:?}");
        }
    }

    /// Proves this directory against an old one.
    pub fn verify(&self, old: &SimDir) -> Verified {
        self.verify_since(old, None)
    }

    /// The same, of several cleanings since then.
    pub fn verify_since(&self, old: &SimDir, since_ms: Option<i64>) -> Verified {
        self.verify_fetched(old, since_ms, None)
    }

    /// The same, of a log that was fetched with these transactions called rolled back.
    pub fn verify_fetched(
        &self,
        old: &SimDir,
        since_ms: Option<i64>,
        fetched_aborts: Option<Vec<(i64, i64)>>,
    ) -> Verified {
        let config = self.config();
        let source = |dir: &SimDir| Source {
            dir: Arc::new(dir.clone()),
            partition_dir: "t-0".into(),
            log_start_offset: Some(self.log.offsets().log_start_offset),
            first_dirty_offset: None,
            key_hasher: existing_key_hasher(dir),
            fetched_aborts: fetched_aborts.clone(),
        };
        verify::verify(&Request {
            old: &source(old),
            new: &source(&self.dir),
            rules: Rules {
                compact: config.cleanup_policy.compact,
                delete: config.cleanup_policy.delete,
                min_compaction_lag_ms: config.min_compaction_lag_ms,
                delete_retention_ms: config.delete_retention_ms,
                producer_id_expiration_ms: LogManagerConfig::default().producer_id_expiration_ms,
                now_ms: self.clock.now_ms(),
                since_ms,
            },
            memory_bytes: self.cleaner_config.dedupe_buffer_size_bytes as usize,
            max_decompressed_bytes: 64 << 20,
            progress: &Default::default(),
        })
        .unwrap()
    }

    /// Records that have the offset of the one before: of one key all of them stay.
    fn twins(&self) -> usize {
        let offsets: Vec<i64> = self
            .batches()
            .iter()
            .flat_map(|batch| batch.rows.iter().map(|row| row.offset).collect::<Vec<_>>())
            .collect();
        offsets.windows(2).filter(|two| two[0] == two[1]).count()
    }

    fn check(&self, before: &[Batch], committed: &BTreeMap<String, String>, untouchable: i64) {
        let after = self.batches();
        let by_base: BTreeMap<i64, &Batch> = before
            .iter()
            .map(|batch| (batch.header.base_offset, batch))
            .collect();
        let mut last_offset = -1;
        for batch in &after {
            let (header, old) = (&batch.header, by_base[&batch.header.base_offset]);
            assert!(header.base_offset > last_offset, "{header:?}");
            last_offset = header.last_offset();
            let is_merged = self.config().compaction_rebatch
                && (header.last_offset_delta, header.producer_id)
                    != (old.header.last_offset_delta, old.header.producer_id);
            if is_merged {
                self.check_merged(batch, before);
                continue;
            }
            assert_eq!(header.last_offset_delta, old.header.last_offset_delta);
            assert_eq!(header.base_sequence, old.header.base_sequence);
            assert_eq!(header.producer_id, old.header.producer_id);
            assert_eq!(header.producer_epoch, old.header.producer_epoch);
            assert_eq!(header.leader_epoch, old.header.leader_epoch);
            assert_eq!(header.timestamp_type(), old.header.timestamp_type());
            assert_eq!(header.is_transactional(), old.header.is_transactional());
            assert_eq!(header.is_control(), old.header.is_control());
            if let Some(horizon_ms) = old.header.delete_horizon_ms()
                && header.record_count > 0
            {
                assert_eq!(header.delete_horizon_ms(), Some(horizon_ms));
            }
            for row in &batch.rows {
                assert_eq!(*row, self.as_written(row));
            }
        }
        let tail = |batches: &[Batch]| -> Vec<Vec<u8>> {
            let tail = batches
                .iter()
                .filter(|batch| batch.header.base_offset >= untouchable);
            tail.map(|batch| batch.bytes.clone()).collect()
        };
        assert_eq!(tail(before), tail(&after), "the head was touched");
        assert_eq!(
            *committed,
            self.committed_map(),
            "a consumer comes to another map"
        );
        self.check_indexes();
    }

    /// A batch that several were merged to has what they had in common, and no producer.
    fn check_merged(&self, batch: &Batch, before: &[Batch]) {
        let header = &batch.header;
        assert_eq!(
            (
                header.producer_id,
                header.producer_epoch,
                header.base_sequence
            ),
            (-1, -1, -1)
        );
        assert!(!header.is_transactional() && !header.is_control());
        assert_eq!(header.delete_horizon_ms(), None);
        let sources = before.iter().filter(|old| {
            let rows = old.rows.iter();
            rows.map(|row| row.offset)
                .any(|offset| batch.rows.iter().any(|row| row.offset == offset))
        });
        let mut last_offset = None;
        for old in sources {
            assert_eq!(header.leader_epoch, old.header.leader_epoch);
            assert_eq!(header.timestamp_type(), old.header.timestamp_type());
            assert!(!old.header.is_transactional() && !old.header.is_control());
            last_offset = Some(old.header.last_offset());
        }
        assert_eq!(Some(header.last_offset()), last_offset);
        for row in &batch.rows {
            assert_eq!(*row, self.as_written(row));
        }
    }

    /// What was written at a record's offset, without what re-batching takes.
    fn as_written(&self, row: &Row) -> Row {
        let mut written = self.written[&row.offset].clone();
        if self.config().compaction_rebatch && row.producer_id == -1 {
            (
                written.producer_id,
                written.producer_epoch,
                written.sequence,
            ) = (-1, -1, -1);
            written.codec = row.codec;
        }
        written
    }

    /// Every batch can be found by its offsets, and every record by its time.
    fn check_indexes(&self) {
        for segment in self.log.segments().iter() {
            for batch in batches_of(segment) {
                let found = segment
                    .position_of(batch.header.last_offset())
                    .unwrap()
                    .unwrap();
                assert_eq!(found.header.base_offset, batch.header.base_offset);
            }
        }
    }

    /// What is in the log, in shorthand, without segment ends.
    pub fn survivors(&self) -> String {
        self.batches()
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The same with segment ends.
    pub fn layout(&self) -> String {
        let segments = self.log.segments();
        let shown = segments.iter().map(|segment| {
            batches_of(segment)
                .iter()
                .map(show)
                .collect::<Vec<_>>()
                .join(" ")
        });
        shown.collect::<Vec<_>>().join(" | ")
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.log
            .segments()
            .iter()
            .flat_map(|segment| batches_of(segment))
            .collect()
    }

    /// Aborted transactions in the indexes: producer, first offset, marker.
    pub fn aborted(&self) -> Vec<(i64, i64, i64)> {
        let segments = self.log.segments();
        let entries = segments
            .iter()
            .flat_map(|segment| segment.transaction_index().entries().unwrap());
        entries
            .map(|entry| (entry.producer_id, entry.first_offset, entry.last_offset))
            .collect()
    }

    /// What a consumer of committed records makes of the log, as Kafka's does.
    pub fn committed_map(&self) -> BTreeMap<String, String> {
        let mut offset = self.log.offsets().log_start_offset;
        let mut map = BTreeMap::new();
        loop {
            let request = ReadRequest {
                offset,
                max_bytes: 1 << 30,
                min_one_batch: true,
                isolation: Isolation::LastStable,
            };
            let fetched = self.log.read(request).unwrap();
            let mut bytes = Vec::new();
            fetched.read_into(&mut bytes).unwrap();
            let batches = batches_in(&bytes);
            let Some(last) = batches.last() else {
                return map;
            };
            offset = last.header.next_offset();
            consume(&batches, fetched.aborted_transactions.clone(), &mut map);
        }
    }

    /// The same directory, closed in order and opened again.
    pub fn reopened(self) -> Scene {
        let Scene {
            dir,
            clock,
            manager,
            cleaner,
            log,
            cleaner_config,
            written,
        } = self;
        let config = (*log.config()).clone();
        drop((cleaner, log));
        manager.close().unwrap();
        drop(manager);
        Scene::on(dir, clock, config, cleaner_config, written)
    }

    /// What is left after a power cut.
    pub fn crashed(self, model: lastword_storage::dir::CrashModel, seed: u64) -> Scene {
        let Scene {
            dir,
            clock,
            log,
            cleaner_config,
            written,
            ..
        } = self;
        let config = (*log.config()).clone();
        Scene::on(
            Arc::new(dir.crash(model, seed)),
            clock,
            config,
            cleaner_config,
            written,
        )
    }

    /// What is found when the process is killed now. This scene stays as it is; the clock is the same.
    pub fn copied(&self) -> Scene {
        self.opened_on(self.dir.crash(lastword_storage::dir::CrashModel::Killed, 0))
    }

    /// The same log, opened in another state of its directory.
    pub fn opened_on(&self, dir: SimDir) -> Scene {
        Scene::on(
            Arc::new(dir),
            self.clock.clone(),
            self.config(),
            self.cleaner_config.clone(),
            self.written.clone(),
        )
    }

    fn on(
        dir: Arc<SimDir>,
        clock: Clock,
        config: LogConfig,
        cleaner_config: CleanerConfig,
        written: BTreeMap<i64, Row>,
    ) -> Scene {
        let manager = open(dir.clone(), &clock, &config);
        let log = manager.get(&topic_partition()).expect("the log is there");
        let cleaner = LogCleaner::new(manager.clone(), cleaner_config.clone()).unwrap();
        Scene {
            dir,
            clock,
            manager,
            cleaner,
            log,
            cleaner_config,
            written,
        }
    }
}

/// One answer to a fetch of committed records.
pub fn consume(
    batches: &[Batch],
    mut aborts: Vec<AbortedTransaction>,
    map: &mut BTreeMap<String, String>,
) {
    aborts.sort_by_key(|abort| std::cmp::Reverse(abort.first_offset));
    let mut aborted = HashSet::new();
    for Batch { header, rows, .. } in batches {
        while let Some(abort) = aborts.pop_if(|abort| abort.first_offset <= header.last_offset()) {
            aborted.insert(abort.producer_id);
        }
        if header.is_control() {
            let kind = |row: &Row| ControlRecordType::parse(row.key.as_deref().unwrap()).unwrap();
            if rows.iter().any(|row| kind(row) == ControlRecordType::Abort) {
                aborted.remove(&header.producer_id);
            }
        } else if !(header.is_transactional() && aborted.contains(&header.producer_id)) {
            for row in rows {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                match (&row.key, &row.value) {
                    (Some(key), Some(value)) => drop(map.insert(text(key), text(value))),
                    (Some(key), None) => drop(map.remove(&text(key))),
                    (None, _) => {}
                }
            }
        }
    }
}

pub fn topic_partition() -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition: 0,
    }
}

pub fn log_config() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy {
            compact: true,
            delete: false,
        },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: RETENTION_MS,
        // Batch for batch, as Kafka leaves it.
        compaction_rebatch: false,
        ..LogConfig::default()
    }
}

pub fn open(dir: Arc<dyn Dir>, clock: &Clock, config: &LogConfig) -> Arc<LogManager> {
    LogManager::open(LogManagerConfig::default(), dir, clock.clone(), &|_| {
        config.clone()
    })
    .unwrap()
}

pub fn batches_of(segment: &lastword_storage::segment::Segment) -> Vec<Batch> {
    let mut bytes = vec![0; segment.size_bytes() as usize];
    assert_eq!(segment.read_at(&mut bytes, 0).unwrap(), bytes.len());
    batches_in(&bytes)
}

pub fn batches_in(bytes: &[u8]) -> Vec<Batch> {
    let mut decompressor = Decompressor::new(64 << 20);
    RecordBatches::new(bytes)
        .map(|batch| decode(batch.unwrap(), &mut decompressor))
        .collect()
}

fn decode(batch: RecordBatch<'_>, decompressor: &mut Decompressor) -> Batch {
    batch.verify_crc().unwrap();
    let header = *batch.header();
    let mut rows = Vec::new();
    for record in batch.records(decompressor).unwrap() {
        let record = record.unwrap();
        rows.push(Row {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.raw().to_vec(),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            sequence: match header.producer_id {
                -1 => -1,
                _ => i64::from(header.base_sequence) + record.offset - header.base_offset,
            },
            leader_epoch: header.leader_epoch,
            attributes: header.attributes & 0x38,
            codec: header.compression().unwrap(),
        });
    }
    Batch {
        header,
        rows,
        bytes: batch.bytes().to_vec(),
    }
}

fn show(batch: &Batch) -> String {
    let header = &batch.header;
    let horizon = header
        .delete_horizon_ms()
        .map(|ms| format!("h{ms}"))
        .unwrap_or_default();
    if header.is_control() {
        let Some(row) = batch.rows.first() else {
            return format!("control@{}", header.base_offset);
        };
        let kind = ControlRecordType::parse(row.key.as_deref().unwrap()).unwrap();
        let letter = if kind == ControlRecordType::Commit {
            "C"
        } else {
            "X"
        };
        return format!("{letter}@{}{horizon}", row.offset);
    }
    let rows: Vec<String> = batch.rows.iter().map(show_row).collect();
    let is_said = batch
        .rows
        .first()
        .is_some_and(|row| row.offset == header.base_offset)
        && batch
            .rows
            .last()
            .is_some_and(|row| row.offset == header.last_offset());
    let range = if is_said {
        String::new()
    } else {
        format!("{}..{}", header.base_offset, header.last_offset())
    };
    format!("{range}[{}]{horizon}", rows.join(" "))
}

fn show_row(row: &Row) -> String {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes
            .as_ref()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let key = text(&row.key).unwrap_or("n".to_string());
    let value = text(&row.value).unwrap_or("T".to_string());
    let between = if key.chars().count() > 1 { "=" } else { "" };
    format!("{key}{between}{value}@{}", row.offset)
}

enum Step {
    Batch(Vec<u8>),
    Roll,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("A:") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('|') {
            steps.push(Step::Roll);
            rest = after;
        } else {
            let (records, after) = match rest.strip_prefix('[') {
                Some(inside) => inside.split_once(']').expect("a batch ends with ]"),
                None => rest.split_at(rest.find([' ', '[', '|', '{']).unwrap_or(rest.len())),
            };
            let (attributes, after) = match after.strip_prefix('{') {
                Some(inside) => inside.split_once('}').expect("attributes end with }"),
                None => ("", after),
            };
            steps.push(Step::Batch(parse_batch(records, attributes)));
            rest = after;
        }
        rest = rest.trim_start();
    }
    steps
}

fn parse_batch(records: &str, attributes: &str) -> Vec<u8> {
    let mut spec = BatchSpec {
        leader_epoch: 0,
        ..BatchSpec::default()
    };
    let mut is_log_append_time = false;
    for word in attributes.split_whitespace() {
        if word == "txn" {
            spec.is_transactional = true;
        } else if word == "lat" {
            is_log_append_time = true;
        } else if let Some(codec) = CompressionType::from_name(word) {
            spec.compression = codec;
        } else {
            let (name, number) = word.split_at(1);
            let number: i64 = number.parse().expect(word);
            match name {
                "p" => spec.producer_id = number,
                "e" => spec.producer_epoch = number as i16,
                "s" => spec.base_sequence = number as i32,
                _ => panic!("unknown attribute {word}"),
            }
        }
    }
    if spec.producer_id >= 0 && spec.producer_epoch < 0 {
        spec.producer_epoch = 0;
    }
    if let Some(marker) = parse_marker(records, &spec) {
        return marker;
    }
    let records: Vec<_> = records.split_whitespace().map(parse_record).collect();
    spec.base_offset = records[0].0;
    if spec.producer_id >= 0 && spec.base_sequence < 0 {
        spec.base_sequence = spec.base_offset as i32;
    }
    let mut builder = BatchBuilder::new(spec);
    for (offset, timestamp, key, value) in &records {
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"null", None)];
        builder.push(
            *offset,
            *timestamp,
            key.as_deref(),
            value.as_deref(),
            &headers,
        );
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    if is_log_append_time {
        let last = records.last().unwrap().1;
        set_log_append_time(&mut bytes, last);
    }
    bytes
}

fn parse_marker(text: &str, spec: &BatchSpec) -> Option<Vec<u8>> {
    let is_commit = text.starts_with("C@");
    if !is_commit && !text.starts_with("X@") {
        return None;
    }
    let base_offset: i64 = text[2..].parse().unwrap();
    let marker = EndTxnMarker {
        is_commit,
        base_offset,
        timestamp: 1_000 + base_offset,
        leader_epoch: 0,
        producer_id: spec.producer_id,
        producer_epoch: spec.producer_epoch,
        coordinator_epoch: 1,
    };
    Some(end_txn_marker(&marker).unwrap())
}

type ParsedRecord = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn parse_record(text: &str) -> ParsedRecord {
    let (content, place) = text.rsplit_once('@').expect(text);
    let (offset, timestamp) = match place.split_once('t') {
        Some((offset, timestamp)) => (offset.parse().unwrap(), timestamp.parse().unwrap()),
        None => {
            let offset: i64 = place.parse().expect(text);
            (offset, 1_000 + offset)
        }
    };
    let (key, value) = content
        .split_once('=')
        .unwrap_or_else(|| content.split_at(1));
    let key = (key != "n").then(|| key.as_bytes().to_vec());
    let value = (value != "T").then(|| value.as_bytes().to_vec());
    (offset, timestamp, key, value)
}
