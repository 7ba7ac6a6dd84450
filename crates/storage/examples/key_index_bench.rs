//! What a key index costs when it is built while appending, and when it is built at seal. Not a test.
//!
//! `cargo run --release -p lastword-storage --example key_index_bench -- [VALUE_BYTES] [DIRECTORY]`
//!
//! Appends the same batches (16 KiB, a million records of 16-byte keys) to a log, once as they are, once with their
//! keys hashed and collected after each append and sorted at the end; then times the cleaner building the indexes of
//! the sealed segments. Times are of the processor, of the fastest of five runs.

use std::error::Error;
use std::sync::Arc;

use lastword_record::{
    BatchBuilder, BatchSpec, Decompressor, RecordBatch, TopicId, TopicPartition,
};
use lastword_storage::cleaner::LogCleaner;
use lastword_storage::key_index::{Entry, KeyHasher};
use lastword_storage::{
    AppendOrigin, CleanerConfig, CleanupPolicy, Clock, FsDir, LogConfig, LogManager,
};

const RECORDS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let value_bytes: usize = arguments.next().map_or(Ok(182), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let batches = batches(value_bytes)?;
    let mut best = [f64::MAX; 3];
    for _ in 0..5 {
        for (least, ns) in best.iter_mut().zip(run(&batches, &parent)?) {
            *least = least.min(ns);
        }
    }
    let [append, collect, build] = best;
    println!("values of {value_bytes} B, ns of the processor per record:");
    println!("  append                          {append:6.1}");
    println!("  and collect keys, sort at seal  {collect:6.1}");
    println!("  build at seal                   {build:6.1}");
    Ok(())
}

fn run(batches: &[Vec<u8>], parent: &std::path::Path) -> Result<[f64; 3], Box<dyn Error>> {
    let directory = tempfile::Builder::new()
        .prefix("key-index-bench-")
        .tempdir_in(parent)?;
    let config = LogConfig {
        cleanup_policy: CleanupPolicy {
            compact: true,
            delete: false,
        },
        segment_bytes: 64 << 20,
        ..LogConfig::default()
    };
    let dir = Arc::new(FsDir::open(directory.path())?);
    let manager = LogManager::open(Default::default(), dir, Clock::System, &|_| config.clone())?;
    let topic_partition = TopicPartition {
        topic: "bench".into(),
        partition: 0,
    };
    let log = manager.create(&topic_partition, TopicId([1; 16]), config.clone())?;
    let cleaner = LogCleaner::new(manager.clone(), CleanerConfig::default())?;

    let start = processor_ns();
    for batch in batches {
        log.append(batch, AppendOrigin::Client, 0)?;
    }
    let append_ns = processor_ns() - start;

    let hasher = KeyHasher::new(&[7; 16]);
    let mut decompressor = Decompressor::new(1 << 20);
    let mut entries = Vec::new();
    let start = processor_ns();
    for batch in batches {
        let batch = RecordBatch::parse(batch)?;
        for record in batch.keys(&mut decompressor)? {
            let record = record?;
            let hash = hasher.hash(record.key.unwrap_or_default());
            entries.push(Entry::new(
                hash,
                entries.len() as u32,
                record.has_null_value,
            ));
        }
    }
    entries.sort_unstable();
    let collect_ns = processor_ns() - start;

    log.roll()?;
    log.sync()?;
    let start = processor_ns();
    cleaner.dry_run(&topic_partition)?;
    let build_ns = processor_ns() - start;
    let per_record = |ns: u64| ns as f64 / RECORDS as f64;
    Ok([append_ns, collect_ns, build_ns].map(per_record))
}

fn batches(value_bytes: usize) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let value = vec![b'x'; value_bytes];
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let mut offset = 0;
    for number in 0..RECORDS as u64 {
        let key = format!(
            "user-{:011}",
            number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 500_000
        );
        builder.push(offset, 1_000, Some(key.as_bytes()), Some(&value), &[]);
        offset += 1;
        if builder.estimated_bytes() > 16 << 10 || number + 1 == RECORDS as u64 {
            let mut bytes = Vec::new();
            builder.finish(&mut bytes)?;
            batches.push(bytes);
            builder.reset(BatchSpec::default());
            offset = 0;
        }
    }
    Ok(batches)
}

/// Processor time of this process.
fn processor_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0)
}
