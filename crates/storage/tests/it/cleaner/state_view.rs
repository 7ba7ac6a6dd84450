//! The state view: what a reader through it sees, and what is left of the log before it, always fold to the map of the
//! whole log, whatever is written, rolled and cleaned meanwhile and however old the view is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastword_storage::cleaner::{LogCleaner, key_hasher};
use lastword_storage::config::CleanerConfig;
use lastword_storage::log::{FetchData, Isolation, Log, ReadRequest};
use lastword_storage::state_view::{StateView, ViewBuffers, ViewRequest, build_view, read_view};
use proptest::prelude::*;

use super::random::Model;
use super::scene::{Batch, Scene, batches_in, consume, topic_partition};

const MAX_DECOMPRESSED_BYTES: usize = 1 << 20;
const MEMORY_BYTES: usize = 1 << 20;

type Map = BTreeMap<String, String>;

fn view_of(scene: &Scene) -> StateView {
    view_with(&scene.log, MEMORY_BYTES)
}

fn view_with(log: &Log, memory_bytes: usize) -> StateView {
    build_view(&ViewRequest {
        log,
        hasher: &key_hasher(&*log.dir()).unwrap(),
        memory_bytes,
        max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
        is_stopped: &AtomicBool::new(false),
    })
    .unwrap()
}

fn request(offset: i64, max_bytes: usize, isolation: Isolation) -> ReadRequest {
    ReadRequest {
        offset,
        max_bytes,
        min_one_batch: true,
        isolation,
    }
}

fn read(view: &StateView, log: &Log, request: ReadRequest) -> (FetchData, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffers = ViewBuffers::new(MAX_DECOMPRESSED_BYTES);
    let data = read_view(view, log, request, &mut buffers, &mut bytes).unwrap();
    (data, bytes)
}

/// Everything from an offset on, through a view.
fn read_all(view: &StateView, log: &Log, isolation: Isolation) -> Vec<Batch> {
    let mut offset = log.offsets().log_start_offset;
    let mut all = Vec::new();
    loop {
        let (_, bytes) = read(view, log, request(offset, 300, isolation));
        let batches = batches_in(&bytes);
        let Some(last) = batches.last() else {
            return all;
        };
        assert!(
            last.header.next_offset() > offset,
            "no progress at {offset}"
        );
        offset = last.header.next_offset();
        all.extend(batches);
    }
}

fn shown(batches: &[Batch]) -> String {
    let data = batches.iter().filter(|batch| !batch.header.is_control());
    let rows = data.flat_map(|batch| &batch.rows).map(|row| {
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map_or("-".into(), |bytes| {
                String::from_utf8_lossy(bytes).into_owned()
            })
        };
        format!("{}{}@{}", text(&row.key), text(&row.value), row.offset)
    });
    rows.collect::<Vec<_>>().join(" ")
}

fn served(scene: &Scene) -> String {
    shown(&read_all(
        &view_of(scene),
        &scene.log,
        Isolation::HighWatermark,
    ))
}

#[test]
fn only_last_words_are_served_from_sealed_segments_and_from_the_head() {
    let scene = Scene::new("[a1@0 b1@1] c1@2 | a2@3 [d1@4 b2@5] | A: a3@6 [e1@7 c2@8]");
    assert_eq!(served(&scene), "d1@4 b2@5 a3@6 e1@7 c2@8");
}

#[test]
fn tombstones_and_records_without_a_key_are_served() {
    let scene = Scene::new("[a1@0 n1@1] aT@2 | b1@3 nx@4 | A: bT@5");
    assert_eq!(served(&scene), "-1@1 a-@2 -x@4 b-@5");
}

#[test]
fn batches_keep_their_last_offset_and_dead_ones_are_not_read() {
    let scene = Scene::new("[a1@0 b1@1 a2@2] | [c1@3 d1@4] | [b2@5 a3@6 c2@7] | A: [z1@8]");
    let view = view_of(&scene);
    let batches = read_all(&view, &scene.log, Isolation::HighWatermark);
    let ranges: Vec<_> = batches
        .iter()
        .map(|batch| (batch.header.base_offset, batch.header.last_offset()))
        .collect();
    assert_eq!(ranges, [(3, 4), (5, 7), (8, 8)]);
    assert_eq!((view.counts.superseded, view.counts.keys), (4, 5));
    assert_eq!(view.limit(), 9);
}

#[test]
fn a_fetch_whose_window_is_all_dead_goes_on_to_the_next_live_batch() {
    let mut text = String::new();
    for offset in 0..200 {
        text += &format!("k=v{offset}@{offset} ");
        if offset % 50 == 49 {
            text += "| ";
        }
    }
    let scene = Scene::new(&text);
    let view = view_of(&scene);
    let (data, bytes) = read(&view, &scene.log, request(0, 1, Isolation::HighWatermark));
    assert_eq!(shown(&batches_in(&bytes)), "kv199@199");
    assert_eq!((data.offset, data.high_watermark), (0, 200));
}

#[test]
fn aborted_data_supersedes_nothing_and_open_transactions_do_not_either() {
    let scene = Scene::new(
        "a1@0 b1@1 [a2@2]{p1 txn s0} X@3{p1} | [b2@4]{p2 txn s0} C@5{p2} c1@6 | A: [c2@7]{p3 txn s0} d1@8 d2@9",
    );
    let view = view_of(&scene);
    assert_eq!(view.limit(), 7);
    let uncommitted = read_all(&view, &scene.log, Isolation::HighWatermark);
    assert_eq!(shown(&uncommitted), "a1@0 a2@2 b2@4 c1@6 c2@7 d1@8 d2@9");
    let committed = read_all(&view, &scene.log, Isolation::LastStable);
    assert_eq!(shown(&committed), "a1@0 a2@2 b2@4 c1@6");
    let (data, _) = read(
        &view,
        &scene.log,
        request(1, 1 << 20, Isolation::LastStable),
    );
    assert_eq!(data.aborted_transactions.len(), 1);
    assert_eq!(data.aborted_transactions[0].first_offset, 2);
}

#[test]
fn an_old_view_serves_what_it_does_not_know() {
    let mut scene = Scene::new("a1@0 b1@1 | a2@2 c1@3 | A: d1@4");
    let view = view_of(&scene);
    assert!(!view.is_outdated(&scene.log));
    scene.write("a3@5 | A: d2@6");
    assert!(view.is_outdated(&scene.log));
    let old = read_all(&view, &scene.log, Isolation::HighWatermark);
    assert_eq!(shown(&old), "b1@1 a2@2 c1@3 d1@4 a3@5 d2@6");
    scene.clean();
    let cleaned = read_all(&view, &scene.log, Isolation::HighWatermark);
    assert_eq!(shown(&cleaned), "b1@1 c1@3 d1@4 a3@5 d2@6");
    assert_eq!(served(&scene), "b1@1 c1@3 a3@5 d2@6");
}

#[test]
fn a_head_that_does_not_fit_the_memory_is_served_as_it_is_from_there_on() {
    let scene = Scene::new("a1@0 | A: a2@1 a3@2 a4@3 a5@4");
    let view = view_with(&scene.log, 3 * 24);
    let batches = read_all(&view, &scene.log, Isolation::HighWatermark);
    assert_eq!(shown(&batches), "a4@3 a5@4");
}

#[test]
fn a_batch_with_a_flipped_bit_is_served_as_it_is() {
    let scene = Scene::new("[a1@0 b1@1] | A: a2@2");
    let view = view_of(&scene);
    let segment = scene.log.segments().first().clone();
    let position = segment.size_bytes() - 1;
    let mut byte = [0];
    segment.read_at(&mut byte, position).unwrap();
    segment
        .log_file()
        .write_all_at(&[byte[0] ^ 1], position.into())
        .unwrap();
    let (_, bytes) = read(
        &view,
        &scene.log,
        request(0, 1 << 20, Isolation::HighWatermark),
    );
    assert_eq!(bytes.len(), segment.size_bytes() as usize);
}

#[test]
fn a_large_log_is_joined_with_its_head_exactly() {
    let (records, keys) = (24_000u64, 7_001);
    let key_of = |offset: u64| (offset * offset + offset / 3) % keys;
    let mut text = String::new();
    let mut last = BTreeMap::new();
    for first in (0..records).step_by(60) {
        let batch: Vec<String> = (first..first + 60)
            .map(|offset| {
                last.insert(key_of(offset), offset as i64);
                format!("k{}=v@{offset}", key_of(offset))
            })
            .collect();
        text += &format!("[{}]{{zstd}} ", batch.join(" "));
        // The rest is in the active segment.
        if first % 3_000 == 0 && first < records / 2 {
            text += "| ";
        }
    }
    let scene = Scene::new(&text);
    let view = view_of(&scene);
    assert_eq!(view.counts.keys, last.len() as u64);
    let request = request(0, 1 << 30, Isolation::HighWatermark);
    let mut seen = Vec::new();
    let mut offset = 0;
    loop {
        let (_, bytes) = read(&view, &scene.log, ReadRequest { offset, ..request });
        let batches = batches_in(&bytes);
        let Some(batch) = batches.last() else { break };
        offset = batch.header.next_offset();
        let rows = batches.iter().flat_map(|batch| &batch.rows);
        seen.extend(rows.map(|row| row.offset));
    }
    let mut expected: Vec<i64> = last.into_values().collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// A consumer through the view.
struct Reader {
    isolation: Isolation,
    offset: i64,
    map: Map,
}

impl Reader {
    fn at_start(isolation: Isolation) -> Reader {
        Reader {
            isolation,
            offset: 0,
            map: Map::new(),
        }
    }

    /// Fetches once; false at the end.
    fn fetch(&mut self, view: &StateView, log: &Log, max_bytes: usize) -> bool {
        let (data, bytes) = read(view, log, request(self.offset, max_bytes, self.isolation));
        let batches = batches_in(&bytes);
        let Some(last) = batches.last() else {
            let plain = log
                .read(request(self.offset, max_bytes, self.isolation))
                .unwrap();
            assert!(
                plain.is_empty(),
                "nothing is served at {}, but there is something",
                self.offset
            );
            return false;
        };
        assert!(
            last.header.next_offset() > self.offset,
            "no progress at {}",
            self.offset
        );
        self.offset = last.header.next_offset();
        consume(&batches, data.aborted_transactions.clone(), &mut self.map);
        true
    }

    /// What it would come to if it read on without the view.
    fn folded_with_the_rest(&self, log: &Log) -> Map {
        let mut map = self.map.clone();
        let mut offset = self.offset;
        while let Some(next) = consume_plain(log, offset, self.isolation, &mut map) {
            offset = next;
        }
        map
    }

    fn check(&self, log: &Log) {
        let full = Reader::at_start(self.isolation).folded_with_the_rest(log);
        assert_eq!(
            self.folded_with_the_rest(log),
            full,
            "{:?} at {}",
            self.isolation,
            self.offset
        );
    }
}

fn consume_plain(log: &Log, offset: i64, isolation: Isolation, map: &mut Map) -> Option<i64> {
    let data = log.read(request(offset, 1 << 30, isolation)).unwrap();
    let mut bytes = Vec::new();
    data.read_into(&mut bytes).unwrap();
    let batches = batches_in(&bytes);
    let next = batches.last()?.header.next_offset();
    consume(&batches, data.aborted_transactions.clone(), map);
    Some(next)
}

#[derive(Clone, Debug)]
enum Step {
    Write,
    Roll,
    Clean,
    Build {
        memory_bytes: usize,
    },
    Join {
        committed: bool,
    },
    Read {
        reader: usize,
        max_bytes: usize,
        fetches: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let memory = prop_oneof![Just(MEMORY_BYTES), 0..2_000_usize];
    prop_oneof![
        4 => Just(Step::Write),
        1 => Just(Step::Roll),
        2 => Just(Step::Clean),
        3 => memory.prop_map(|memory_bytes| Step::Build { memory_bytes }),
        2 => any::<bool>().prop_map(|committed| Step::Join { committed }),
        8 => (0..8_usize, 1..1_500_usize, 1..5_usize)
            .prop_map(|(reader, max_bytes, fetches)| Step::Read { reader, max_bytes, fetches }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn at_every_offset_what_was_seen_and_the_rest_fold_to_the_map_of_the_log(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        // Readers of uncommitted data see aborted data until it is cleaned away, with the view and without.
        let always_commits = seed.is_multiple_of(2);
        let mut model = Model::new(seed);
        model.always_commits = always_commits;
        let mut scene = Scene::with_config("", |config| {
            config.segment_bytes = 400 + (seed % 3_000) as u32;
            config.compaction_rebatch = seed % 3 == 1;
            // A reader must come to a tombstone before it goes.
            config.delete_retention_ms = 1 << 40;
        });
        scene.write(&model.write());
        let mut view = view_of(&scene);
        let mut readers = vec![Reader::at_start(Isolation::LastStable)];
        for step in steps {
            match step {
                Step::Write => scene.write(&model.write()),
                Step::Roll => {
                    scene.log.roll().unwrap();
                }
                Step::Clean => {
                    scene.clean();
                }
                Step::Build { memory_bytes } => view = view_with(&scene.log, memory_bytes),
                Step::Join { .. } if readers.len() == 4 => {}
                Step::Join { committed } => readers.push(Reader::at_start(match committed || !always_commits {
                    true => Isolation::LastStable,
                    false => Isolation::HighWatermark,
                })),
                Step::Read { reader, max_bytes, fetches } => {
                    let index = reader % readers.len();
                    for _ in 0..fetches {
                        readers[index].fetch(&view, &scene.log, max_bytes);
                        readers[index].check(&scene.log);
                    }
                }
            }
            for reader in &readers {
                reader.check(&scene.log);
            }
        }
        for mut reader in readers {
            while reader.fetch(&view, &scene.log, 1_000) {
                reader.check(&scene.log);
            }
            let full = Reader::at_start(reader.isolation).folded_with_the_rest(&scene.log);
            prop_assert_eq!(reader.map, full);
        }
    }

    #[test]
    fn a_new_view_serves_exactly_the_last_words(seed in any::<u64>(), rounds in 1..6_usize, cleans in any::<bool>()) {
        let mut model = Model::new(seed);
        let mut scene = Scene::with_config("", |config| {
            config.segment_bytes = 400 + (seed % 3_000) as u32;
            config.compaction_rebatch = seed % 3 == 1;
            config.delete_retention_ms = 1 << 40;
        });
        for _ in 0..rounds {
            scene.write(&model.write());
        }
        let view = view_of(&scene);
        let expected = model.last_words(view.limit());
        let offsets = |batches: Vec<Batch>| -> BTreeSet<i64> {
            let data = batches.iter().filter(|batch| !batch.header.is_control());
            data.flat_map(|batch| &batch.rows).map(|row| row.offset).collect()
        };
        let seen = offsets(read_all(&view, &scene.log, Isolation::HighWatermark));
        // Segments with open transactions that are sealed are only known up to the first one.
        let active = scene.log.segments().active().base_offset();
        if view.limit() >= active {
            prop_assert_eq!(&seen, &expected, "{}", scene.layout());
        } else {
            prop_assert!(seen.is_superset(&expected));
        }
        if cleans {
            scene.clean();
            let view = view_of(&scene);
            let after = offsets(read_all(&view, &scene.log, Isolation::HighWatermark));
            prop_assert!(after.is_subset(&seen), "{}", scene.layout());
        }
    }
}

#[test]
fn readers_go_on_while_the_log_is_written_and_cleaned_by_others() {
    let mut scene = Scene::with(
        "",
        |config| {
            config.segment_bytes = 2_000;
            config.delete_retention_ms = 1 << 40;
        },
        CleanerConfig::default(),
    );
    let config = CleanerConfig {
        threads: 2,
        backoff_ms: 1,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::start(scene.manager.clone(), config).unwrap();
    let log = scene.log.clone();
    let is_done = AtomicBool::new(false);
    let mut model = Map::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| follow(&log, &is_done)))
            .collect();
        for offset in 0..2_000u64 {
            let key = format!("k{}", (offset * offset) % 47);
            scene.write(&format!("{key}=v{offset}@{offset}"));
            model.insert(key, format!("v{offset}"));
        }
        is_done.store(true, Ordering::SeqCst);
        for reader in readers {
            let (map, builds) = reader.join().unwrap();
            assert_eq!(map, model);
            assert!(builds > 1);
        }
    });
    let cleanings = cleaner.status_of(&topic_partition()).unwrap().cleanings;
    cleaner.stop();
    assert!(cleanings > 0);
}

/// Reads from the start to the end until everything was written, with a new view each time.
fn follow(log: &Arc<Log>, is_done: &AtomicBool) -> (Map, u32) {
    let mut builds = 0;
    loop {
        let is_last = is_done.load(Ordering::SeqCst);
        builds += 1;
        let view = view_with(log, MEMORY_BYTES);
        let mut reader = Reader::at_start(Isolation::HighWatermark);
        let mut fetch = || {
            let (data, bytes) = read(&view, log, request(reader.offset, 700, reader.isolation));
            let batches = batches_in(&bytes);
            let next = batches.last()?.header.next_offset();
            assert!(next > reader.offset);
            reader.offset = next;
            consume(&batches, data.aborted_transactions, &mut reader.map);
            Some(())
        };
        while fetch().is_some() {}
        if is_last {
            return (reader.map, builds);
        }
    }
}
