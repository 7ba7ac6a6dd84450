//! Times the inner loops of the cleaner over a log in memory. Not a test: it asserts nothing about
//! time.
//!
//! `cargo run --release -p lastword-record --example record_bench -- NAME LOG_KIB VALUE_BYTES HEADERS`
//!
//! Without a NAME (or with an empty one) everything runs. Each line is the fastest of several passes,
//! in ns per record of the log. Records have keys of 16 bytes, values of VALUE_BYTES (default 182:
//! records of about 208 bytes), HEADERS (default none), and lie in uncompressed batches of 16 KiB.

use std::hint::black_box;
use std::time::Instant;

use lastword_record::{
    BatchBuilder, BatchSpec, Decompressor, RecordBatch, RecordBatches, RecordError, crc32c,
};

const BATCH_BYTES: usize = 16 << 10;
const MERGED_BYTES: usize = 100 << 10;
/// How much is read in all the passes of one line.
const PASSED_BYTES: usize = 4 << 30;

struct Log {
    bytes: Vec<u8>,
    records: u64,
}

fn main() -> Result<(), RecordError> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let mut number = |default: usize| {
        let number = arguments.next().and_then(|text| text.parse().ok());
        number.unwrap_or(default)
    };
    let (log_kib, value_bytes, headers) = (number(256 << 10), number(182), number(0));
    let log = generate(log_kib << 10, value_bytes, headers)?;
    println!("{} records, {} KiB", log.records, log.bytes.len() >> 10);

    let bench = |wanted: &str, pass: &mut dyn FnMut(&Log) -> Result<u64, RecordError>| {
        if !name.is_empty() && name != wanted {
            return Ok(());
        }
        let mut best = f64::INFINITY;
        for _ in 0..PASSED_BYTES / log.bytes.len() + 1 {
            let started = Instant::now();
            black_box(pass(&log)?);
            best = best.min(started.elapsed().as_secs_f64());
        }
        let ns = best * 1e9 / log.records as f64;
        let gigabytes = log.bytes.len() as f64 / best / 1e9;
        println!("{wanted:24} {ns:7.2} ns/record {gigabytes:7.2} GB/s");
        Ok::<(), RecordError>(())
    };

    let mut decompressor = Decompressor::new(1 << 20);
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let mut out = Vec::with_capacity(log.bytes.len() + BATCH_BYTES);

    bench("crc", &mut |log| {
        let mut sum = 0;
        for batch in RecordBatches::new(&log.bytes) {
            sum ^= u64::from(crc32c(batch?.bytes()));
        }
        Ok(sum)
    })?;
    bench("records", &mut |log| {
        let mut sum = 0;
        for batch in RecordBatches::new(&log.bytes) {
            for record in batch?.records(&mut decompressor)? {
                let record = record?;
                sum += record.key.map_or(0, <[u8]>::len) as u64 + record.offset as u64;
                sum += u64::from(record.value.is_none());
            }
        }
        Ok(sum)
    })?;
    bench("keys", &mut |log| {
        let mut sum = 0;
        for batch in RecordBatches::new(&log.bytes) {
            for record in batch?.keys(&mut decompressor)? {
                let record = record?;
                sum += record.key.map_or(0, <[u8]>::len) as u64 + record.offset as u64;
                sum += u64::from(record.has_null_value) + u64::from(record.size_bytes);
            }
        }
        Ok(sum)
    })?;
    let mut stamped = Vec::with_capacity(log.bytes.len() + log.bytes.len() / 16);
    for batch in RecordBatches::new(&log.bytes) {
        let batch = batch?;
        let horizon_ms = Some(batch.header().max_timestamp + 86_400_000);
        builder.rebuild_survivors(
            &batch,
            horizon_ms,
            &mut decompressor,
            |_| true,
            &mut stamped,
        )?;
    }
    bench("keys, stamped", &mut |_| {
        let mut sum = 0;
        for batch in RecordBatches::new(&stamped) {
            for record in batch?.keys(&mut decompressor)? {
                sum += record?.key.map_or(0, <[u8]>::len) as u64;
            }
        }
        Ok(sum)
    })?;
    for (wanted, kept) in [("rebuild 1 of 2", 2), ("rebuild 9 of 10", 10)] {
        let live = live_bits(kept);
        bench(wanted, &mut |log| {
            out.clear();
            for batch in RecordBatches::new(&log.bytes) {
                let batch = batch?;
                builder.reset_rebuild(batch.header(), None);
                let mut writer = builder.writer(&mut out);
                for (index, record) in (0..).zip(batch.records(&mut decompressor)?) {
                    let record = record?;
                    if is_set(&live, index) {
                        writer.push_record(&record);
                    }
                }
                writer.finish()?;
            }
            Ok(out.len() as u64)
        })?;
    }
    for (wanted, kept, is_first_kept) in [
        ("survivors 1 of 2", 2, true),
        ("survivors 9 of 10", 10, true),
        ("shifted 1 of 2", 2, false),
        ("shifted 9 of 10", 10, false),
    ] {
        let mut live = live_bits(kept);
        live[0] = live[0] & !0xff | if is_first_kept { 0xff } else { 0 };
        bench(wanted, &mut |log| {
            out.clear();
            for batch in RecordBatches::new(&log.bytes) {
                let live = |index| is_set(&live, index);
                builder.rebuild_survivors(&batch?, None, &mut decompressor, live, &mut out)?;
            }
            Ok(out.len() as u64)
        })?;
    }
    for (wanted, kept) in [("merge 1 of 2", 2), ("merge 9 of 10", 10)] {
        let live = live_bits(kept);
        bench(wanted, &mut |log| {
            out.clear();
            let mut batches = RecordBatches::new(&log.bytes).peekable();
            while let Some(Ok(batch)) = batches.peek() {
                builder.reset(BatchSpec {
                    base_offset: batch.header().base_offset,
                    ..BatchSpec::default()
                });
                let mut writer = builder.writer(&mut out);
                let mut last_offset = 0;
                while writer.estimated_bytes() < MERGED_BYTES
                    && let Some(batch) = batches.next()
                {
                    let batch = batch?;
                    let live = |index| is_set(&live, index);
                    writer.push_survivors(&batch, &mut decompressor, live)?;
                    last_offset = batch.header().last_offset();
                }
                writer.finish_at(last_offset)?;
            }
            Ok(out.len() as u64)
        })?;
    }
    Ok(())
}

/// One bit for each record of a batch: half of them set, or all but one of `n`, at random.
fn live_bits(n: u64) -> Vec<u64> {
    let is_live = |index: u64| !(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(n);
    (0..1_024u64)
        .map(|word| {
            (0..64).fold(0, |bits, bit| {
                bits | u64::from(is_live(word * 64 + bit)) << bit
            })
        })
        .collect()
}

fn is_set(bits: &[u64], index: u64) -> bool {
    bits.get((index >> 6) as usize)
        .is_some_and(|word| word >> (index & 63) & 1 == 1)
}

fn generate(log_bytes: usize, value_bytes: usize, headers: usize) -> Result<Log, RecordError> {
    let mut log = Log {
        bytes: Vec::with_capacity(log_bytes + BATCH_BYTES),
        records: 0,
    };
    let value = vec![b'v'; value_bytes];
    let headers: Vec<(&[u8], Option<&[u8]>)> = vec![(b"trace", Some(b"0123456789")); headers];
    let mut offset = 0;
    while log.bytes.len() < log_bytes {
        let mut builder = BatchBuilder::new(BatchSpec {
            base_offset: offset,
            ..BatchSpec::default()
        });
        while builder.estimated_bytes() < BATCH_BYTES {
            let key = format!("key-{:012}", offset * 7_919 % 500_009);
            let timestamp = 1_700_000_000_000 + offset / 8;
            builder.push(
                offset,
                timestamp,
                Some(key.as_bytes()),
                Some(&value),
                &headers,
            );
            offset += 1;
        }
        log.records += builder.record_count() as u64;
        builder.finish(&mut log.bytes)?;
    }
    debug_assert!(RecordBatch::parse(&log.bytes).is_ok());
    Ok(log)
}
