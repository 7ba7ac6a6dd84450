//! Segments by their bytes: formats, lookups, recovery, crashes.

mod crash;
mod index_formats;
mod lookup;
mod recovery;
mod reopen;

use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchHeader, BatchSpec, CompressionType};
use lastword_storage::dir::{Dir, SimDir};
use lastword_storage::error::StorageError;
use lastword_storage::segment::{IndexSettings, Segment};

pub const PARTITION: &str = "orders-0";
pub const LOG: &str = "orders-0/00000000000000000100.log";
pub const INDEX: &str = "orders-0/00000000000000000100.index";
pub const TIME_INDEX: &str = "orders-0/00000000000000000100.timeindex";
pub const TRANSACTION_INDEX: &str = "orders-0/00000000000000000100.txnindex";
pub const BASE_OFFSET: i64 = 100;

/// Every batch but the first gets an entry.
pub const DENSE: IndexSettings = IndexSettings {
    index_interval_bytes: 0,
    segment_index_bytes: 10 << 20,
};

pub fn partition() -> SimDir {
    let dir = SimDir::new();
    dir.create_dir(PARTITION).unwrap();
    dir.sync_file_system().unwrap();
    dir
}

pub fn create(dir: &SimDir, settings: IndexSettings) -> Segment {
    Segment::create(
        Arc::new(dir.clone()),
        PARTITION,
        BASE_OFFSET,
        "",
        settings,
        5_000,
    )
    .unwrap()
}

pub fn try_open(dir: &SimDir, settings: IndexSettings) -> Result<Segment, StorageError> {
    Segment::open(
        Arc::new(dir.clone()),
        PARTITION,
        BASE_OFFSET,
        "",
        settings,
        5_000,
    )
}

pub fn open(dir: &SimDir, settings: IndexSettings) -> Segment {
    try_open(dir, settings).unwrap()
}

/// A batch of `(offset, timestamp)` records whose values have `value_bytes` bytes.
pub fn batch(records: &[(i64, i64)], value_bytes: usize, compression: CompressionType) -> Vec<u8> {
    let spec = BatchSpec {
        base_offset: records[0].0,
        compression,
        leader_epoch: 3,
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    let value = vec![7; value_bytes];
    for &(offset, timestamp) in records {
        builder.push(offset, timestamp, Some(b"key"), Some(&value), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

pub fn single(offset: i64, timestamp: i64, value_bytes: usize) -> Vec<u8> {
    batch(&[(offset, timestamp)], value_bytes, CompressionType::None)
}

pub fn append(segment: &Segment, batch: &[u8]) -> u32 {
    segment
        .append(batch, &[BatchHeader::parse(batch).unwrap()])
        .unwrap()
}

pub fn bytes_of(dir: &SimDir, path: &str) -> Vec<u8> {
    lastword_storage::dir::read_file(dir, path).unwrap()
}

/// Offsets of all batches, by a full scan with verified checksums.
pub fn scan_all(segment: &Segment) -> Vec<(i64, i64)> {
    let mut scan = segment.scan(0, segment.size_bytes(), 100);
    let mut batches = Vec::new();
    while let Some((_, batch)) = scan.next_batch().unwrap() {
        batch.verify_crc().unwrap();
        batches.push((batch.header().base_offset, batch.header().last_offset()));
    }
    batches
}

/// SplitMix64, so that a seed replays everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A random segment: gaps between offsets, timestamps back and forth, batches of 1 to 4 records. Returns its records.
pub fn random_records(segment: &Segment, random: &mut Random, batches: u64) -> Vec<(i64, i64)> {
    let mut records = Vec::new();
    let mut offset = segment.next_offset();
    for _ in 0..batches {
        offset += if random.below(4) == 0 {
            random.below(5) as i64
        } else {
            0
        };
        let mut of_batch = Vec::new();
        for _ in 0..=random.below(3) {
            of_batch.push((offset, 1_000 + random.below(300) as i64));
            offset += 1 + i64::from(random.below(5) == 0);
        }
        let codecs = [
            CompressionType::None,
            CompressionType::Lz4,
            CompressionType::Zstd,
        ];
        let codec = codecs[random.below(3) as usize];
        append(
            segment,
            &batch(&of_batch, random.below(400) as usize, codec),
        );
        records.extend(of_batch);
        offset = segment.next_offset();
    }
    records
}
