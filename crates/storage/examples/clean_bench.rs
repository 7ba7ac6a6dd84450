//! Times one cleaning of a generated log. Not a test: it asserts nothing about time.
//!
//! `cargo run --release -p lastword-storage --example clean_bench -- [A|B|C|D|MILLIONS] [DIRECTORY]`
//!
//! - A: 4 M records of about 208 bytes, 500 k keys drawn uniformly, uncompressed, segments of 64 MiB;
//! - B: the same with lz4;
//! - C: 20 M records of about 80 bytes, 12.6 M different keys, segments of 256 MiB;
//! - D: A, cleaned, and then 200 k more updates;
//! - a number: C with so many million records and keys, segments of 64 MiB.
//!
//! The log is written to a new directory below DIRECTORY (default: the system's) and removed at the end.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use lastword_record::{BatchBuilder, BatchSpec, CompressionType, TopicId, TopicPartition};
use lastword_storage::cleaner::{CleanStats, LogCleaner};
use lastword_storage::{
    AppendOrigin, CleanerConfig, CleanupPolicy, Clock, FsDir, Log, LogConfig, LogManager,
};

const BATCH_BYTES: usize = 16 << 10;

struct Work {
    records: u64,
    keys: u64,
    value_bytes: usize,
    segment_bytes: u32,
    compression: CompressionType,
    second_round: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "A".to_string());
    let parent = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let base = Work {
        records: 4_000_000,
        keys: 500_000,
        value_bytes: 182,
        segment_bytes: 64 << 20,
        compression: CompressionType::None,
        second_round: 0,
    };
    let work = match name.as_str() {
        "A" => base,
        "B" => Work {
            compression: CompressionType::Lz4,
            ..base
        },
        "C" => Work {
            records: 20_000_000,
            keys: 20_000_000,
            value_bytes: 52,
            segment_bytes: 256 << 20,
            ..base
        },
        "D" => Work {
            second_round: 200_000,
            ..base
        },
        millions => {
            let millions: u64 = millions
                .parse()
                .map_err(|_| format!("unknown work {millions}"))?;
            Work {
                records: millions * 1_000_000,
                keys: millions * 1_000_000,
                value_bytes: 60,
                ..base
            }
        }
    };
    let directory = tempfile::Builder::new()
        .prefix("clean-bench-")
        .tempdir_in(parent)?;
    run(&name, &work, directory.path())
}

fn run(name: &str, work: &Work, directory: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let config = LogConfig {
        cleanup_policy: CleanupPolicy {
            compact: true,
            delete: false,
        },
        segment_bytes: work.segment_bytes,
        ..LogConfig::default()
    };
    let dir = Arc::new(FsDir::open(directory)?);
    let manager = LogManager::open(Default::default(), dir, Clock::System, &|_| config.clone())?;
    let topic_partition = TopicPartition {
        topic: "bench".into(),
        partition: 0,
    };
    let log = manager.create(&topic_partition, TopicId([1; 16]), config.clone())?;
    let cleaner = LogCleaner::new(manager.clone(), CleanerConfig::default())?;

    let mut random = 42;
    let start = Instant::now();
    fill(&log, work, work.records, &mut random)?;
    println!(
        "{name}: {} MB written in {:.1?}",
        log.size_bytes() / 1_000_000,
        start.elapsed()
    );
    let start = Timer::start();
    cleaner.dry_run(&topic_partition)?;
    println!("{name}: planned in {start}");
    let start = Timer::start();
    let stats = cleaner.clean_now(&topic_partition)?;
    report(name, &log, &stats, &start);
    if work.second_round > 0 {
        fill(&log, work, work.second_round, &mut random)?;
        let start = Timer::start();
        let stats = cleaner.clean_now(&topic_partition)?;
        report("second round", &log, &stats, &start);
    }
    Ok(())
}

fn fill(log: &Log, work: &Work, records: u64, random: &mut u64) -> Result<(), Box<dyn Error>> {
    let spec = BatchSpec {
        compression: work.compression,
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    let mut bytes = Vec::new();
    let mut offset = 0;
    for sequence in 0..records {
        let id = splitmix64(random) % work.keys;
        let key = format!("user-{id:011}");
        let mut value = format!("{{\"id\":{id},\"seq\":{sequence},\"name\":\"");
        while value.len() + 2 < work.value_bytes {
            value.push(char::from(b'a' + (splitmix64(random) % 26) as u8));
        }
        value.push_str("\"}");
        builder.push(
            offset,
            1_700_000_000_000,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
            &[],
        );
        offset += 1;
        if builder.estimated_bytes() >= BATCH_BYTES || sequence + 1 == records {
            bytes.clear();
            builder.finish(&mut bytes)?;
            builder.reset(spec);
            log.append(&bytes, AppendOrigin::Coordinator, 0)?;
            offset = 0;
        }
    }
    log.roll()?;
    log.sync()?;
    Ok(())
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn report(name: &str, log: &Log, stats: &CleanStats, start: &Timer) {
    println!(
        "{name}: cleaned in {start} (plan {} ms, rewrite {} ms): {} of {} records dead, {} keys, \
         {} indexes built from {} MB, {} MB of indexes, {} MB of memory, {} MB read, {} MB written, {} -> {} segments; now {} MB; peak memory {}",
        stats.plan_ms,
        stats.rewrite_ms,
        stats.dead.total(),
        stats.records_planned,
        stats.keys,
        stats.indexes_built,
        stats.log_bytes_indexed / 1_000_000,
        stats.index_bytes / 1_000_000,
        stats.memory_bytes / 1_000_000,
        stats.bytes_read / 1_000_000,
        stats.bytes_written / 1_000_000,
        stats.segments_in,
        stats.segments_out,
        log.size_bytes() / 1_000_000,
        peak_memory(),
    );
}

/// Time on the wall and on the processor: on a busy machine only the second means something.
struct Timer {
    wall: Instant,
    processor_ns: u64,
}

impl Timer {
    fn start() -> Timer {
        Timer {
            wall: Instant::now(),
            processor_ns: processor_ns(),
        }
    }
}

impl std::fmt::Display for Timer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let processor_ms = (processor_ns() - self.processor_ns) / 1_000_000;
        write!(
            formatter,
            "{:.2?}, {processor_ms} ms of it on the processor",
            self.wall.elapsed()
        )
    }
}

fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_string(), |line| line.trim().to_string())
}
