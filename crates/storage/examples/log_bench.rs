//! Figures of the log without a network: append and group commit, reading back, opening.
//!
//! `cargo run --release -p lastword-storage --example log_bench -- DIRECTORY`
//!
//! The directory must not exist; it is left behind for inspection.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastword_record::{BatchBuilder, BatchSpec, CompressionType, TopicId, TopicPartition};
use lastword_storage::{
    AppendOrigin, Clock, FsDir, Isolation, Log, LogConfig, LogManager, LogManagerConfig,
    ReadRequest, start_background,
};

type Failure = Box<dyn std::error::Error>;

const RECORDS_PER_BATCH: usize = 80;
const VALUE_BYTES: usize = 200;
const TOTAL_BYTES: usize = 1 << 30;
const PARTITIONS: i32 = 1_000;

fn main() -> Result<(), Failure> {
    let root: PathBuf = std::env::args()
        .nth(1)
        .ok_or("a directory is wanted")?
        .into();
    if root.exists() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
    }
    for compression in [CompressionType::None, CompressionType::Lz4] {
        append_and_read(
            &root.join(format!("append-{}", compression.name())),
            compression,
        )?;
    }
    open_many(&root.join("many"))
}

fn manager(root: &PathBuf) -> Result<Arc<LogManager>, Failure> {
    let dir = Arc::new(FsDir::open(root)?);
    let configs = |_: &str| LogConfig::default();
    Ok(LogManager::open(
        LogManagerConfig::default(),
        dir,
        Clock::System,
        &configs,
    )?)
}

fn batch(compression: CompressionType) -> Result<Vec<u8>, Failure> {
    let spec = BatchSpec {
        compression,
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    for index in 0..RECORDS_PER_BATCH as i64 {
        let key = format!("user-{index:011}");
        let value = vec![b'a' + (index % 26) as u8; VALUE_BYTES];
        builder.push(
            index,
            1_700_000_000_000,
            Some(key.as_bytes()),
            Some(&value),
            &[],
        );
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes)?;
    Ok(bytes)
}

fn append_and_read(root: &PathBuf, compression: CompressionType) -> Result<(), Failure> {
    let manager = manager(root)?;
    let topic_partition = TopicPartition::new("bench", 0);
    let id = TopicId::from_random_bytes([1; 16]);
    let log = manager.create(&topic_partition, id, LogConfig::default())?;
    let background = start_background(&manager)?;
    let bytes = batch(compression)?;
    let batches = TOTAL_BYTES / (RECORDS_PER_BATCH * (VALUE_BYTES + 25));
    let start = Instant::now();
    for _ in 0..batches {
        log.append(&bytes, AppendOrigin::Client, 0)?;
    }
    let appended = start.elapsed();
    log.sync()?;
    let durable = start.elapsed();
    background.stop();
    let records = batches * RECORDS_PER_BATCH;
    report(
        &format!(
            "append, {} batches of {} bytes",
            compression.name(),
            bytes.len()
        ),
        records,
        log.size_bytes(),
        appended,
    );
    report("  until it is durable", records, log.size_bytes(), durable);

    let start = Instant::now();
    let read_bytes = read_all(&log)?;
    report("  read back", records, read_bytes, start.elapsed());
    manager.close()?;
    Ok(())
}

fn read_all(log: &Log) -> Result<u64, Failure> {
    let mut total = 0;
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < log.offsets().high_watermark {
        let isolation = Isolation::HighWatermark;
        let request = ReadRequest {
            offset,
            max_bytes: 1 << 20,
            min_one_batch: true,
            isolation,
        };
        let data = log.read(request)?;
        buffer.clear();
        total += data.read_into(&mut buffer)? as u64;
        for batch in lastword_record::RecordBatches::new(&buffer).map_while(Result::ok) {
            offset = batch.header().next_offset();
        }
    }
    Ok(total)
}

fn open_many(root: &PathBuf) -> Result<(), Failure> {
    let manager_of_new = manager(root)?;
    let bytes = batch(CompressionType::None)?;
    let start = Instant::now();
    for partition in 0..PARTITIONS {
        let topic_partition = TopicPartition::new("many", partition);
        let id = TopicId::from_random_bytes([1; 16]);
        let log = manager_of_new.create(&topic_partition, id, LogConfig::default())?;
        for _ in 0..8 {
            log.append(&bytes, AppendOrigin::Client, 0)?;
        }
    }
    println!("create {PARTITIONS} partitions: {:.0?}", start.elapsed());
    let start = Instant::now();
    manager_of_new.sync_all()?;
    println!("sync all of them: {:.1?}", start.elapsed());
    drop(manager_of_new);

    let start = Instant::now();
    let unclean = manager(root)?;
    println!("open after an unclean stop: {:.0?}", start.elapsed());
    let start = Instant::now();
    unclean.close()?;
    println!("close: {:.0?}", start.elapsed());
    drop(unclean);
    let start = Instant::now();
    let clean = manager(root)?;
    println!("open after a clean stop: {:.0?}", start.elapsed());
    drop(clean);
    Ok(())
}

fn report(what: &str, records: usize, bytes: u64, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    println!(
        "{what}: {:.2} s, {:.0} MB/s, {:.2} M records/s",
        seconds,
        bytes as f64 / 1e6 / seconds,
        records as f64 / 1e6 / seconds,
    );
}
