//! An index made with this module's own code, every checksum right, that describes batches which are not in the log.

use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchSpec, Decompressor, TopicId, TopicPartition, crc32c};

use super::batch::{self, Before};
use super::header::HEADER_BYTES;
use super::*;
use crate::clock::Clock;
use crate::config::LogConfig;
use crate::dir::{Dir, SimDir, read_file};
use crate::log::AppendOrigin;
use crate::manager::{LogManager, LogManagerConfig};

const PATH: &str = "t-0/00000000000000000000.keyindex";

/// A log of a sealed segment with so many batches of one record.
fn log_of(dir: &SimDir, batches: i64) -> Arc<Log> {
    let dir = Arc::new(dir.clone());
    let config = LogManagerConfig::default();
    let manager = LogManager::open(config, dir, Clock::manual(0), &|_| LogConfig::default());
    let topic_partition = TopicPartition::new("t", 0);
    let id = TopicId([1; 16]);
    let log = manager
        .unwrap()
        .create(&topic_partition, id, LogConfig::default())
        .unwrap();
    for offset in 0..batches {
        let spec = BatchSpec {
            base_offset: offset,
            leader_epoch: 0,
            ..BatchSpec::default()
        };
        let mut builder = BatchBuilder::new(spec);
        let key = offset.to_be_bytes();
        builder.push(offset, 1_000, Some(&key), Some(&key), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).unwrap();
        log.append(&bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    log
}

fn open(log: &Log, hasher: &KeyHasher) -> (KeyIndex, Option<Built>) {
    let segments = log.segments();
    let request = BuildRequest {
        segment: segments.first(),
        hasher,
        memory_bytes: 1 << 20,
        leaves_cache_as_found: false,
    };
    open_or_build(log, &request, &mut Decompressor::new(1 << 20), |_| Ok(())).unwrap()
}

/// An index taken apart.
struct Parts {
    whole: Vec<u8>,
    header: Header,
    /// With the encoded sizes of their records.
    batches: Vec<(IndexedBatch, Vec<u8>)>,
}

impl Parts {
    fn of(dir: &SimDir, index: &KeyIndex) -> Parts {
        let mut parts = Parts {
            whole: read_file(dir, PATH).unwrap(),
            header: *index.header(),
            batches: Vec::new(),
        };
        let mut batches = index.batches(1 << 10);
        while let Some(indexed) = batches.next_batch().unwrap() {
            let mut sizes = Vec::new();
            for size in batches.record_sizes() {
                varint::write_varint(&mut sizes, size);
            }
            parts.batches.push((indexed, sizes));
        }
        parts
    }

    /// The same index, some of whose batches are said to be others.
    fn forged(&self, change: impl Fn(usize, &mut IndexedBatch)) -> Vec<u8> {
        let mut section = Vec::new();
        let mut before = Before::first(self.header.base_offset);
        for (number, (indexed, sizes)) in self.batches.iter().enumerate() {
            let mut indexed = indexed.clone();
            change(number, &mut indexed);
            batch::encode(&indexed, sizes, &before, &mut section);
            before = Before::after(&indexed);
        }
        let header = Header {
            batches_bytes: section.len() as u64,
            batches_crc: crc32c(&section),
            ..self.header
        };
        let entries = HEADER_BYTES + self.header.batches_bytes as usize;
        [&header.encode()[..], &section, &self.whole[entries..]].concat()
    }
}

#[test]
fn an_index_that_describes_other_batches_is_built_again() {
    let dir = SimDir::new();
    let hasher = KeyHasher::new(&[5; 16]);
    let log = log_of(&dir, 40);
    let (index, _) = open(&log, &hasher);
    let parts = Parts::of(&dir, &index);
    let whole = parts.whole.clone();
    assert_eq!(parts.forged(|_, _| {}), whole);
    for changed in 0..39 {
        let changes: [fn(&mut IndexedBatch); 2] = [
            |indexed| indexed.crc ^= 1,
            |indexed| indexed.last_offset += 1,
        ];
        for change in changes {
            let bytes = parts.forged(|number, indexed| {
                if number == changed {
                    change(indexed);
                }
            });
            assert_ne!(bytes, whole);
            dir.create(PATH).unwrap().write_all_at(&bytes, 0).unwrap();
            let segments = log.segments();
            let segment = segments.first();
            // All that is looked at without the log is right.
            let found = KeyIndex::open(segment, &hasher).unwrap();
            assert!(matches!(found, Found::Index(_)), "batch {changed}");
            // As after a start.
            segment.set_has_key_index(false);
            let (_, built) = open(&log, &hasher);
            assert!(built.is_some(), "batch {changed}");
            assert_eq!(read_file(&dir, PATH).unwrap(), whole);
        }
    }
}

#[test]
fn of_many_batches_some_are_compared() {
    let dir = SimDir::new();
    let hasher = KeyHasher::new(&[5; 16]);
    let log = log_of(&dir, 300);
    let (index, _) = open(&log, &hasher);
    let parts = Parts::of(&dir, &index);
    let whole = parts.whole.clone();
    // All but the last, as the index of another log has it.
    let bytes = parts.forged(|number, indexed| {
        indexed.crc ^= u32::from(number < 299);
    });
    dir.create(PATH).unwrap().write_all_at(&bytes, 0).unwrap();
    log.segments().first().set_has_key_index(false);
    assert!(open(&log, &hasher).1.is_some());
    assert!(read_file(&dir, PATH).unwrap() == whole);
}
