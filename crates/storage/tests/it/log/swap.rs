//! Replacing segments while the log is used.

use std::collections::HashMap;
use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchHeader, Decompressor, RecordBatch, empty_batch};
use lastword_storage::segment::Segment;
use lastword_storage::{Isolation, Log, StorageError};

use super::{Entry, Scene, append_one, read_all, request, small_segments};

/// The sealed segments.
pub fn inputs(log: &Log) -> Vec<Arc<Segment>> {
    let set = log.segments();
    set.as_slice()[..set.len() - 1].to_vec()
}

/// What is left when only the last record of each key below `inputs`' end stays.
pub fn survivors(entries: &[Entry], end: i64) -> Vec<Entry> {
    let mut last = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.offset < end) {
        last.insert(entry.key.clone(), entry.offset);
    }
    let stays = |entry: &&Entry| entry.offset >= end || last[&entry.key] == entry.offset;
    entries.iter().filter(stays).cloned().collect()
}

/// Writes the survivors of the inputs to one `.cleaned` segment, as a cleaner does.
pub fn cleaned(log: &Log, inputs: &[Arc<Segment>]) -> Result<Segment, StorageError> {
    let mut decompressor = Decompressor::new(1 << 20);
    let mut last: HashMap<Vec<u8>, i64> = HashMap::new();
    for_each_batch(inputs, &mut |batch| {
        for record in batch.records(&mut decompressor)? {
            let record = record?;
            last.insert(record.key.unwrap_or(b"").to_vec(), record.offset);
        }
        Ok(())
    })?;
    let pins = log.producer_pins(super::NOW_MS);
    let base_offset = inputs.first().expect("an input").base_offset();
    let (dir, settings) = (log.dir(), log.index_settings());
    let output = Segment::create(
        dir,
        log.partition_dir(),
        base_offset,
        ".cleaned",
        settings,
        0,
    )?;
    for_each_batch(inputs, &mut |batch| {
        let mut builder = BatchBuilder::rebuild(batch.header(), None);
        for record in batch.records(&mut decompressor)? {
            let record = record?;
            if last.get(record.key.unwrap_or(b"")) == Some(&record.offset) {
                builder.push_record(&record);
            }
        }
        let header = batch.header();
        let is_pinned = pins
            .get(&header.producer_id)
            .is_some_and(|pin| pin.last_data_offset == Some(header.last_offset()));
        let mut bytes = Vec::new();
        if builder.record_count() > 0 {
            builder.finish(&mut bytes)?;
        } else if is_pinned {
            // The last batch of a producer stays, empty: its state can be read from the log.
            bytes.extend_from_slice(&empty_batch(header));
        } else {
            return Ok(());
        }
        output.append(&bytes, &[BatchHeader::parse(&bytes)?])?;
        Ok(())
    })?;
    output.seal()?;
    output.sync()?;
    Ok(output)
}

type Visit<'a> = dyn FnMut(&RecordBatch<'_>) -> Result<(), StorageError> + 'a;

fn for_each_batch(inputs: &[Arc<Segment>], visit: &mut Visit<'_>) -> Result<(), StorageError> {
    for input in inputs {
        let mut scan = input.scan(0, input.size_bytes(), 4096);
        while let Some((_, batch)) = scan.next_batch()? {
            visit(&batch)?;
        }
    }
    Ok(())
}

/// Five keys over and over, in several segments.
pub fn fill(scene: &Scene, records: usize) {
    for i in 0..records {
        append_one(
            &scene.log(),
            &format!("key {}", i % 5),
            &format!("value {i}"),
        );
    }
    scene.log().sync().expect("synced");
}

#[test]
fn a_swap_keeps_offsets_order_and_the_last_values() {
    let scene = Scene::new(small_segments());
    fill(&scene, 40);
    let log = scene.log();
    let before = read_all(&log);
    let inputs = inputs(&log);
    let end = log.segments().active().base_offset();
    let version = log.segments().version();
    log.replace_segments(&inputs, vec![cleaned(&log, &inputs).expect("cleaned")])
        .expect("swapped");
    let expected = survivors(&before, end);
    assert!(expected.len() < before.len());
    assert_eq!(read_all(&log), expected);
    assert!(log.segments().version() > version);
    assert_eq!(log.segments().len(), 2);
    assert_eq!(log.offsets().log_start_offset, 0);
    // A read where a record was compacted away starts with the next one.
    let data = log
        .read(request(1, Isolation::HighWatermark))
        .expect("read");
    let mut bytes = Vec::new();
    data.read_into(&mut bytes).expect("bytes");
    let mut entries = Vec::new();
    super::decode(&bytes, 1, &mut entries);
    assert_eq!(entries.first(), expected.first());
    let files: Vec<String> = scene
        .dir
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let logs = files.iter().filter(|path| path.ends_with(".log")).count();
    assert_eq!(logs, 2, "{files:?}");
    assert!(
        files
            .iter()
            .all(|path| !path.ends_with(".replace") && !path.ends_with(".cleaned"))
    );
    assert_eq!(read_all(&scene.reopened().log()), expected);
}

#[test]
fn a_reader_in_the_middle_of_a_segment_finishes_on_it() {
    let scene = Scene::new(small_segments());
    fill(&scene, 40);
    let log = scene.log();
    let data = log
        .read(request(0, Isolation::HighWatermark))
        .expect("read");
    let set = log.segments();
    let mut before = Vec::new();
    data.read_into(&mut before).expect("bytes");
    let inputs = inputs(&log);
    log.replace_segments(&inputs, vec![cleaned(&log, &inputs).expect("cleaned")])
        .expect("swapped");
    let mut after = Vec::new();
    data.read_into(&mut after).expect("bytes");
    assert_eq!(before, after);
    // Lookups in the old set still find what was there.
    for offset in 0..20 {
        let segment = set.floor(offset).expect("a segment");
        let found = segment.position_of(offset).expect("looked").expect("found");
        assert!(found.header.base_offset <= offset && offset <= found.header.last_offset());
    }
}

#[test]
fn a_swap_of_segments_that_have_gone_is_stale_and_leaves_no_trace() {
    let scene = Scene::new(small_segments());
    fill(&scene, 40);
    let log = scene.log();
    let inputs = inputs(&log);
    let output = cleaned(&log, &inputs).expect("cleaned");
    log.delete_records_before(20).expect("deleted");
    let before = read_all(&log);
    let result = log.replace_segments(&inputs, vec![output]);
    assert!(matches!(result, Err(StorageError::Stale)));
    assert_eq!(read_all(&log), before);
    let files = scene.dir.files();
    let left = files
        .iter()
        .find(|(path, _)| path.ends_with(".replace") || path.ends_with(".cleaned"));
    assert_eq!(left, None);
    assert_eq!(read_all(&scene.reopened().log()), before);
}

#[test]
fn the_active_segment_is_never_replaced() {
    let scene = Scene::new(small_segments());
    fill(&scene, 40);
    let log = scene.log();
    let all = log.segments().as_slice().to_vec();
    let output = cleaned(&log, &all).expect("cleaned");
    assert!(matches!(
        log.replace_segments(&all, vec![output]),
        Err(StorageError::Stale)
    ));
}

#[test]
fn segments_may_vanish_without_an_output() {
    let scene = Scene::new(small_segments());
    fill(&scene, 40);
    let log = scene.log();
    let end = log.segments().active().base_offset();
    log.replace_segments(&inputs(&log), Vec::new())
        .expect("swapped");
    assert_eq!(read_all(&log).first().map(|entry| entry.offset), Some(end));
    assert_eq!(log.offsets().log_start_offset, 0, "the start does not move");
    let scene = scene.reopened();
    assert_eq!(
        read_all(&scene.log()).first().map(|entry| entry.offset),
        Some(end)
    );
}

#[test]
fn readers_and_writers_go_on_during_swaps() {
    let scene = Scene::new(small_segments());
    fill(&scene, 30);
    let log = scene.log();
    std::thread::scope(|scope| {
        let reader = Arc::clone(&log);
        scope.spawn(move || {
            for _ in 0..200 {
                let entries = read_all(&reader);
                assert!(entries.is_sorted_by(|a, b| a.offset < b.offset));
                let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                keys.sort_unstable();
                keys.dedup();
                assert_eq!(keys.len(), 5, "every key has a value at every moment");
            }
        });
        for round in 0..20 {
            for key in 0..5 {
                append_one(&log, &format!("key {key}"), &format!("round {round}"));
            }
            log.sync().expect("synced");
            let inputs = inputs(&log);
            let output = cleaned(&log, &inputs).expect("cleaned");
            log.replace_segments(&inputs, vec![output])
                .expect("swapped");
        }
    });
}

#[test]
fn nothing_above_the_high_watermark_is_replaced() {
    let scene = Scene::new(small_segments());
    fill(&scene, 5);
    let log = scene.log();
    for i in 0..30 {
        append_one(&log, "key 1", &format!("not synced {i}"));
    }
    let inputs = inputs(&log);
    let output = cleaned(&log, &inputs).expect("cleaned");
    assert!(matches!(
        log.replace_segments(&inputs, vec![output]),
        Err(StorageError::Stale)
    ));
}
