//! A directory of an old Kafka, with messages of magic 0 and 1, is converted when it is loaded.

use std::sync::Arc;

use lastword_record::control::{EndTxnMarker, end_txn_marker};
use lastword_record::{BatchSpec, CompressionType, RecordBatches, TimestampType};
use lastword_storage::dir::{CrashModel, Dir, File, OperationKind};
use lastword_storage::{Clock, Isolation, Log, LogConfig, SimDir};
use proptest::prelude::*;

use super::{
    Entry, NOW_MS, Scene, append_one, batch, batch_at, entry, open, read_all, read_from,
    topic_partition,
};
use crate::legacy_messages::{Message, bytes_of, message, wrapper};

const META_PROPERTIES: &[u8] =
    b"version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=0\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";

/// A directory as it lies on a disk: segments of the partition by base offset.
struct Disk {
    dir: SimDir,
    clock: Clock,
}

impl Disk {
    fn new(segments: &[(i64, Vec<u8>)]) -> Disk {
        let clock = Clock::manual(NOW_MS);
        let disk = Disk {
            dir: SimDir::with_clock(clock.clone()),
            clock,
        };
        disk.dir.create_dir("orders-0").expect("created");
        disk.put(
            "orders-0/partition.metadata",
            b"version: 0\ntopic_id: AwMDAwMDAwMDAwMDAwMDAw",
        );
        for (base_offset, bytes) in segments {
            disk.put(&log_path(*base_offset), bytes);
        }
        disk
    }

    /// Durable, with its name.
    fn put(&self, path: &str, bytes: &[u8]) {
        let file = self.dir.create(path).expect("created");
        file.write_all_at(bytes, 0).expect("written");
        file.sync_data().expect("synced");
        self.dir.sync_dir("orders-0").expect("synced");
        self.dir.sync_dir("").expect("synced");
    }

    fn stopped_in_order(self) -> Disk {
        self.put(".kafka_cleanshutdown", b"");
        self
    }

    fn recovery_point(self, offset: i64) -> Disk {
        let text = format!("0\n1\norders 0 {offset}\n");
        self.put(RECOVERY_POINTS, text.as_bytes());
        self
    }

    fn file(&self, path: &str) -> Arc<dyn File> {
        self.dir.open(path).expect("the file is there")
    }

    fn opened(&self) -> Scene {
        Scene::on(self.dir.clone(), self.clock.clone(), LogConfig::default())
    }

    /// Why the partition was not loaded; nothing of it was changed.
    fn refused(&self) -> String {
        let before = self.logs();
        let scene = self.opened();
        let failed = scene.manager.failed();
        assert_eq!(self.logs(), before, "{failed:?}");
        assert_eq!(self.leftovers(), Vec::<String>::new());
        failed
            .get(&topic_partition())
            .cloned()
            .expect("it is refused")
    }

    fn logs(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.dir.files().into_iter();
        files.filter(|(path, _)| path.ends_with(".log")).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        leftovers(&self.dir)
    }
}

fn leftovers(dir: &SimDir) -> Vec<String> {
    let suffixes = [".cleaned", ".swap", ".replace", ".tmp"];
    let paths = dir.files().into_iter().map(|(path, _)| path);
    paths
        .filter(|path| suffixes.iter().any(|suffix| path.ends_with(suffix)))
        .collect()
}

fn log_path(base_offset: i64) -> String {
    format!("orders-0/{base_offset:020}.log")
}

fn v1(offset: i64, key: &str, value: &str) -> Message {
    message(1, offset, 1_000 * offset, key, Some(value))
}

fn v0(offset: i64, key: &str, value: &str) -> Message {
    message(0, offset, -1, key, Some(value))
}

fn v2(offset: i64, key: &str, value: &str) -> Vec<u8> {
    let spec = BatchSpec {
        base_offset: offset,
        ..BatchSpec::default()
    };
    batch_at(spec, 1_000 * offset, &[(key, Some(value))])
}

/// A sealed segment of both magics and a wrapper, and an active one that goes on in magic 1 and 2.
fn old_log() -> (Disk, Vec<Entry>) {
    let wrapped = wrapper(CompressionType::Gzip, &[v1(2, "a", "2"), v1(4, "b", "4")]);
    let sealed = bytes_of(&[v0(0, "a", "0"), v0(1, "b", "1"), wrapped]);
    let active = [
        bytes_of(&[v1(5, "a", "5"), v1(6, "c", "6")]),
        v2(7, "d", "7"),
    ]
    .concat();
    let expected = [
        (0, "a"),
        (1, "b"),
        (2, "a"),
        (4, "b"),
        (5, "a"),
        (6, "c"),
        (7, "d"),
    ];
    let expected = expected.map(|(offset, key)| entry(offset, key, &offset.to_string()));
    (Disk::new(&[(0, sealed), (5, active)]), expected.to_vec())
}

fn assert_is_magic_2(dir: &SimDir) {
    for (path, bytes) in dir.files() {
        if path.ends_with(".log") {
            for batch in RecordBatches::new(&bytes) {
                batch.expect(&path).verify_crc().expect(&path);
            }
        }
    }
}

#[test]
fn an_old_log_is_converted_once_and_everything_works_on_it() {
    for disk in [old_log().0, old_log().0.stopped_in_order()] {
        let expected = old_log().1;
        let scene = disk.opened();
        let log = scene.log();
        assert_eq!(read_all(&log), expected);
        assert_is_magic_2(&disk.dir);
        assert_eq!(disk.leftovers(), Vec::<String>::new());
        for (index, entry) in expected.iter().enumerate() {
            let read = read_from(&log, entry.offset, Isolation::HighWatermark);
            assert_eq!(read, &expected[index..]);
        }
        // Magic 0 has no time; from there on the first record at or after it.
        for (timestamp, offset) in [(0, 2), (1_500, 2), (2_001, 4), (4_001, 5), (7_000, 7)] {
            let found = log.offset_for_timestamp(timestamp).expect("searched");
            assert_eq!(found.map(|found| found.offset), Some(offset), "{timestamp}");
        }
        assert_eq!(log.offset_for_timestamp(7_001).expect("searched"), None);
        let newest = log.max_timestamp_offset().expect("searched");
        assert_eq!(newest.map(|found| found.offset), Some(7));

        assert_eq!(append_one(&log, "a", "8"), 8);
        log.sync().expect("synced");
        drop(log);
        let before = disk.logs();
        let scene = scene.reopened();
        assert_eq!(disk.logs(), before, "nothing is converted twice");
        assert_eq!(read_all(&scene.log()).len(), 8);
    }
}

#[test]
fn a_converted_segment_keeps_its_time_of_change_and_goes_by_retention_like_before() {
    let (disk, _) = old_log();
    disk.file(&log_path(0))
        .set_modified_ms(1_234_000)
        .expect("set");
    // Magic 0 only: nothing but the file says how old it is.
    let only_v0 = Disk::new(&[(0, bytes_of(&[v0(0, "a", "0")])), (1, Vec::new())]);
    only_v0
        .file(&log_path(0))
        .set_modified_ms(NOW_MS - 5_000)
        .expect("set");
    let modified = |disk: &Disk| disk.file(&log_path(0)).modified_ms().expect("a time");
    drop(disk.opened());
    assert_eq!(modified(&disk), 1_234_000);
    let scene = only_v0.opened();
    assert_eq!(modified(&only_v0), NOW_MS - 5_000);
    let log = scene.log();
    assert_eq!(
        log.segments().first().largest_timestamp_ms(),
        NOW_MS - 5_000
    );
    let config = |retention_ms| LogConfig {
        retention_ms,
        ..LogConfig::default()
    };
    log.update_config(config(6_000));
    assert_eq!(log.apply_retention(NOW_MS).expect("applied"), 0);
    log.update_config(config(4_000));
    assert_eq!(log.apply_retention(NOW_MS).expect("applied"), 1);
}

/// Three records of a producer in a transaction, which is rolled back in the fourth.
fn rolled_back(base_offset: i64) -> Vec<u8> {
    let producer = BatchSpec {
        base_offset,
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: 0,
        is_transactional: true,
        ..BatchSpec::default()
    };
    let records = [("x", Some("1")), ("y", Some("2")), ("z", Some("3"))];
    let marker = EndTxnMarker {
        is_commit: false,
        base_offset: base_offset + 3,
        timestamp: NOW_MS,
        leader_epoch: 0,
        producer_id: 9,
        producer_epoch: 0,
        coordinator_epoch: 1,
    };
    let data = batch_at(producer, 1_000, &records);
    [data, end_txn_marker(&marker).expect("a marker")].concat()
}

#[test]
fn an_abort_behind_a_converted_segment_stays_in_its_index_once() {
    let sealed = bytes_of(&[v1(0, "a", "0"), v1(1, "b", "1")]);
    let entries = |scene: &Scene| {
        let segments = scene.log().segments();
        let entries = segments.iter().flat_map(|segment| {
            let entries = segment.transaction_index().entries().expect("entries");
            entries
                .into_iter()
                .map(|it| (it.first_offset, it.last_offset))
        });
        entries.collect::<Vec<(i64, i64)>>()
    };
    // The index is there, as Kafka left it when the log was sealed behind it.
    let disk = Disk::new(&[
        (0, sealed.clone()),
        (2, rolled_back(2)),
        (6, v2(6, "c", "6")),
    ]);
    let fields = [9, 2, 5, 6].map(i64::to_be_bytes).concat();
    let index = [vec![0, 0], fields].concat();
    disk.put("orders-0/00000000000000000002.txnindex", &index);
    let disk = disk.recovery_point(7).stopped_in_order();
    let scene = disk.opened();
    assert_is_magic_2(&disk.dir);
    assert_eq!(entries(&scene), [(2, 5)]);
    assert_eq!(entries(&scene.reopened()), [(2, 5)]);
}

#[test]
fn log_append_time_stays_log_append_time() {
    let mut old = v1(0, "a", "0");
    old.attributes = 8;
    old.timestamp = 77_000;
    let scene = Disk::new(&[(0, bytes_of(&[old]))]).opened();
    let log = scene.log();
    let found = log
        .offset_for_timestamp(77_000)
        .expect("searched")
        .expect("found");
    assert_eq!((found.offset, found.timestamp), (0, 77_000));
    let mut scan = log
        .segments()
        .first()
        .scan_headers(0, log.segments().first().size_bytes());
    let header = scan.next_batch().expect("read").expect("a batch").header;
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_opens_with_the_same_records() {
    for operation in 0.. {
        let (disk, expected) = old_log();
        disk.dir.crash_after(operation);
        drop(open(&disk.dir, &disk.clock, &LogConfig::default()));
        for model in CrashModel::ALL {
            for seed in 0..if model == CrashModel::Weak { 8 } else { 3 } {
                let what = format!("operation {operation} {model:?} seed {seed}");
                let dir = disk.dir.crash(model, seed);
                let scene = Scene::on(dir, disk.clock.clone(), LogConfig::default());
                assert_eq!(read_all(&scene.log()), expected, "{what}");
                assert_eq!(leftovers(&scene.dir), Vec::<String>::new(), "{what}");
                assert_is_magic_2(&scene.dir);
                let again = scene.crashed(CrashModel::DurableOnly, 0);
                assert_eq!(read_all(&again.log()), expected, "{what}, and again");
            }
        }
        if !disk.dir.has_crashed() {
            assert!(
                operation > 20,
                "two swaps have that many operations at least"
            );
            return;
        }
    }
}

#[test]
fn a_damaged_message_is_named_and_the_other_partitions_are_loaded() {
    let first_bytes = v0(0, "a", "0").bytes().len();
    let bit = |byte: usize| 8 * byte as u64 + 3;
    // In the value, the key's length, the size, the magic and the checksum of the second message.
    for at in [27, 21, 11, 16, 13] {
        let at = first_bytes + at;
        for disk in [old_log().0, old_log().0.stopped_in_order()] {
            disk.dir.create_dir("other-0").expect("created");
            disk.put("other-0/00000000000000000000.log", &v2(0, "k", "v"));
            disk.dir.flip_bit(&log_path(0), bit(at)).expect("flipped");
            let reason = disk.refused();
            assert!(reason.contains(&log_path(0)), "{at}: {reason}");
            let position = format!("position {first_bytes}:");
            assert!(reason.contains(&position), "{at}: {reason}");
            let scene = disk.opened();
            assert_eq!(scene.manager.logs().len(), 1, "the other one");
        }
    }
}

#[test]
fn a_wrapper_that_lies_is_refused() {
    let inner = [v1(2, "a", "2"), v1(4, "b", "4")];
    let lies = Message {
        offset: 1,
        ..wrapper(CompressionType::Snappy, &inner)
    };
    let disk = Disk::new(&[(0, bytes_of(&[lies])), (5, Vec::new())]);
    let reason = disk.refused();
    assert!(
        reason.contains("inner offsets lie beyond the wrapper's"),
        "{reason}"
    );
    // Its first record is below the message before it.
    let descends = [v1(3, "z", "3"), wrapper(CompressionType::Lz4, &inner)];
    let disk = Disk::new(&[(0, bytes_of(&descends)), (5, Vec::new())]);
    assert!(disk.refused().contains("offsets descend"));
    // Too far away for a segment that is written to.
    let disk = Disk::new(&[(0, bytes_of(&[v1(0, "a", "0"), v1(1 << 33, "b", "1")]))]);
    assert!(disk.refused().contains("does not belong to a segment"));
    // And below the segment.
    let disk = Disk::new(&[(3, bytes_of(&[wrapper(CompressionType::Lz4, &inner)]))]);
    assert!(disk.refused().contains("offsets descend"));
}

/// The active segment of [`old_log`] in magic 1 only, and its length.
fn old_tail() -> (Vec<u8>, Vec<Entry>) {
    let messages = [v1(0, "a", "0"), v1(1, "b", "1"), v1(2, "c", "2")];
    let expected = [entry(0, "a", "0"), entry(1, "b", "1"), entry(2, "c", "2")];
    (bytes_of(&messages), expected.to_vec())
}

#[test]
fn a_torn_tail_is_left_out_and_the_log_goes_on() {
    let (whole, expected) = old_tail();
    let next = v1(3, "d", "torn").bytes();
    for torn_bytes in [1, 12, 16, 17, 22, next.len() - 1] {
        let bytes = [&whole[..], &next[..torn_bytes]].concat();
        let disk = Disk::new(&[(0, bytes)]).recovery_point(3);
        let scene = disk.opened();
        assert_eq!(read_all(&scene.log()), expected, "{torn_bytes}");
        assert_eq!(append_one(&scene.log(), "d", "3"), 3);
    }
}

#[test]
fn a_torn_tail_below_the_recovery_point_is_damage() {
    let (whole, _) = old_tail();
    let torn = whole[..whole.len() - 1].to_vec();
    for disk in [
        Disk::new(&[(0, torn.clone())]).recovery_point(3),
        Disk::new(&[(0, torn.clone())])
            .recovery_point(3)
            .stopped_in_order(),
    ] {
        let reason = disk.refused();
        assert!(reason.contains(&log_path(0)), "{reason}");
    }
    let scene = Disk::new(&[(0, torn)]).recovery_point(2).opened();
    assert_eq!(read_all(&scene.log()).len(), 2);
}

#[test]
fn zeros_are_a_lost_write_only_above_the_recovery_point() {
    let (whole, expected) = old_tail();
    let behind = v1(4, "e", "came through").bytes();
    let bytes = [whole, vec![0; 512], behind].concat();
    let scene = Disk::new(&[(0, bytes.clone())]).recovery_point(3).opened();
    assert_eq!(read_all(&scene.log()), expected);
    let disk = Disk::new(&[(0, bytes)]).recovery_point(4);
    assert!(!disk.refused().is_empty());
}

#[test]
fn damage_with_something_valid_behind_it_is_never_cut_away() {
    let (whole, _) = old_tail();
    let valid_behind = [v1(3, "d", "3").bytes(), v2(3, "d", "3")];
    for behind in valid_behind {
        let mut bytes = [&whole[..], &behind].concat();
        // The value of the last message of the three.
        bytes[whole.len() - 1] ^= 1;
        let disk = Disk::new(&[(0, bytes)]);
        assert!(disk.refused().contains("CRC"));
    }
    // The same where the damaged batch is of magic 2, and what follows is old: that is converted, and the damage stays
    // for everybody to see.
    let mut bytes = [v2(0, "a", "0"), v1(1, "b", "1").bytes()].concat();
    bytes[65] ^= 1;
    let damaged = bytes[..v2(0, "a", "0").len()].to_vec();
    let disk = Disk::new(&[(0, bytes)]);
    assert_eq!(disk.opened().manager.failed().len(), 1);
    let after = &disk.logs()[0].1;
    assert_eq!(after, &[damaged, v2(1, "b", "1")].concat());
}

#[test]
fn a_damaged_offset_that_reaches_into_the_next_segment_is_refused() {
    // No checksum covers an offset.
    for disk in [old_log().0, old_log().0.stopped_in_order()] {
        let wrapper_at = 2 * v0(0, "a", "0").bytes().len();
        disk.dir
            .flip_bit(&log_path(0), 8 * (wrapper_at as u64 + 6))
            .expect("flipped");
        let reason = disk.refused();
        assert!(reason.contains("beyond the next segment"), "{reason}");
        assert!(
            reason.contains(&format!("position {wrapper_at}:")),
            "{reason}"
        );
    }
}

/// Segments in which old messages lie between batches of magic 2, so that neither end tells.
fn hidden(base_offset: i64) -> Vec<u8> {
    let old = v1(base_offset + 1, "k", "old").bytes();
    [
        v2(base_offset, "k", "new"),
        old,
        v2(base_offset + 2, "k", "newer"),
    ]
    .concat()
}

/// With indexes that lead to the last batch, so that the opening reads nothing before it.
fn put_hidden(disk: &Disk, base_offset: i64) {
    let bytes = hidden(base_offset);
    let last_position = bytes.len() - v2(base_offset + 2, "k", "newer").len();
    let entry = [2u32.to_be_bytes(), (last_position as u32).to_be_bytes()].concat();
    disk.put(&log_path(base_offset), &bytes);
    disk.put(&log_path(base_offset).replace(".log", ".index"), &entry);
    disk.put(&log_path(base_offset).replace(".log", ".timeindex"), &[]);
}

#[test]
fn old_messages_between_new_ones_are_found_beside_a_segment_that_begins_with_one() {
    let visible = bytes_of(&[v1(0, "k", "first")]);
    for operation in 0.. {
        let disk = Disk::new(&[(0, visible.clone()), (7, Vec::new())]);
        put_hidden(&disk, 1);
        put_hidden(&disk, 4);
        let disk = disk.recovery_point(7).stopped_in_order();
        disk.dir.crash_after(operation);
        drop(open(&disk.dir, &disk.clock, &LogConfig::default()));
        let dir = disk.dir.crash(CrashModel::Killed, operation);
        let scene = Scene::on(dir, disk.clock.clone(), LogConfig::default());
        assert_eq!(read_all(&scene.log()).len(), 7, "operation {operation}");
        assert_is_magic_2(&scene.dir);
        if !disk.dir.has_crashed() {
            return;
        }
    }
}

#[test]
fn old_messages_between_new_ones_are_found_by_recovery() {
    let disk = Disk::new(&[]);
    put_hidden(&disk, 0);
    let scene = disk.opened();
    assert_eq!(read_all(&scene.log()).len(), 3);
    assert_is_magic_2(&disk.dir);
}

#[test]
fn a_swap_of_old_segments_that_kafka_had_begun_is_finished_first() {
    let cleaned = bytes_of(&[v1(1, "b", "1"), v1(4, "a", "4")]);
    let inputs = [
        (0, bytes_of(&[v1(0, "a", "0"), v1(1, "b", "1")])),
        (3, bytes_of(&[v1(3, "a", "3"), v1(4, "a", "4")])),
        (5, bytes_of(&[v1(5, "c", "5")])),
    ];
    let disk = Disk::new(&inputs);
    disk.put(&format!("{}.swap", log_path(0)), &cleaned);
    let scene = disk.opened();
    let expected = [entry(1, "b", "1"), entry(4, "a", "4"), entry(5, "c", "5")];
    assert_eq!(read_all(&scene.log()), expected);
    assert_eq!(disk.leftovers(), Vec::<String>::new());
}

#[test]
fn no_room_to_convert_keeps_one_partition_from_being_loaded_until_there_is_room() {
    const ENOSPC: i32 = 28;
    for kind in [OperationKind::Write, OperationKind::SyncData] {
        let (disk, expected) = old_log();
        disk.put("meta.properties", META_PROPERTIES);
        for path in [log_path(0), log_path(5)] {
            disk.put(&path.replace(".log", ".index"), &[]);
            disk.put(&path.replace(".log", ".timeindex"), &[]);
        }
        let before = disk.logs();
        disk.dir.fail_next(kind, ENOSPC);
        let scene = disk.opened();
        let reason = scene.manager.failed()[&topic_partition()].clone();
        assert!(reason.contains(".log.cleaned"), "{kind:?}: {reason}");
        assert_eq!(scene.manager.is_offline(), None, "{kind:?}");
        assert_eq!(disk.logs(), before, "{kind:?}");
        assert_eq!(disk.leftovers(), Vec::<String>::new(), "{kind:?}");
        drop(scene);
        assert_eq!(read_all(&disk.opened().log()), expected, "{kind:?}");
    }
}

#[test]
fn a_log_of_magic_2_is_not_touched() {
    let scene = Scene::new(super::small_segments());
    for n in 0..40 {
        append_one(&scene.log(), "k", &format!("value {n}"));
    }
    scene.log().sync().expect("synced");
    let before = scene.dir.files();
    let logs = |files: &[(String, Vec<u8>)]| -> Vec<(String, Vec<u8>)> {
        let logs = files.iter().filter(|(path, _)| path.ends_with(".log"));
        logs.cloned().collect()
    };
    let reopened = scene.reopened();
    assert_eq!(logs(&reopened.dir.files()), logs(&before));
    let created = reopened.dir.trace();
    assert!(!created.iter().any(|line| line.contains(".cleaned")));
}

/// One step of a random log.
#[derive(Clone, Debug)]
enum Step {
    Alone(u8),
    Wrapped(u8, CompressionType, usize),
    New(usize),
    Roll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let codec = proptest::sample::select(vec![
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
    ]);
    let step = prop_oneof![
        3 => (0..2u8).prop_map(Step::Alone),
        3 => (0..2u8, codec, 1..5usize).prop_map(|(magic, codec, n)| Step::Wrapped(magic, codec, n)),
        2 => (1..4usize).prop_map(Step::New),
        1 => Just(Step::Roll),
    ];
    proptest::collection::vec(step, 0..25)
}

/// The files of a random log, and what is in it.
#[derive(Default)]
struct Random {
    segments: Vec<(i64, Vec<u8>)>,
    entries: Vec<Entry>,
    next_offset: i64,
}

impl Random {
    fn of(steps: &[Step]) -> Random {
        let mut random = Random {
            segments: vec![(0, Vec::new())],
            ..Random::default()
        };
        for (number, step) in steps.iter().enumerate() {
            random.next_offset += number as i64 % 3;
            random.add(step);
        }
        random
    }

    fn add(&mut self, step: &Step) {
        let bytes = match step {
            Step::Alone(magic) => old(*magic, &self.entries(1)[0]).bytes(),
            Step::Wrapped(magic, codec, count) => {
                let inner: Vec<Message> = self
                    .entries(*count)
                    .iter()
                    .map(|entry| old(*magic, entry))
                    .collect();
                wrapper(*codec, &inner).bytes()
            }
            Step::New(count) => {
                let entries = self.entries(*count);
                let records: Vec<(&str, Option<&str>)> = entries
                    .iter()
                    .map(|entry| (entry.key.as_str(), entry.value.as_deref()))
                    .collect();
                let spec = BatchSpec {
                    base_offset: entries[0].offset,
                    ..BatchSpec::default()
                };
                batch(spec, &records)
            }
            Step::Roll => {
                if self
                    .segments
                    .last()
                    .is_some_and(|(_, bytes)| !bytes.is_empty())
                {
                    self.segments.push((self.next_offset, Vec::new()));
                }
                return;
            }
        };
        if let Some((_, segment)) = self.segments.last_mut() {
            segment.extend(bytes);
        }
    }

    fn entries(&mut self, count: usize) -> Vec<Entry> {
        let offsets = self.next_offset..self.next_offset + count as i64;
        self.next_offset = offsets.end;
        let made: Vec<Entry> = offsets
            .map(|offset| {
                entry(
                    offset,
                    &format!("k{}", offset % 5),
                    &format!("value {offset}"),
                )
            })
            .collect();
        self.entries.extend(made.clone());
        made
    }
}

fn old(magic: u8, entry: &Entry) -> Message {
    let timestamp = 5_000 + entry.offset;
    message(
        magic,
        entry.offset,
        timestamp,
        &entry.key,
        entry.value.as_deref(),
    )
}

/// A batch of magic 2 in a sealed segment may be damaged: it is copied as it is.
fn valid_entries(log: &Log) -> Vec<Entry> {
    let mut entries = Vec::new();
    for segment in log.segments().iter() {
        let mut scan = segment.scan(0, segment.size_bytes(), 4096);
        while let Ok(Some((_, batch))) = scan.next_batch() {
            if batch.verify_crc().is_ok() {
                super::decode(batch.bytes(), 0, &mut entries);
            }
        }
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_old_log_has_the_same_records_after_its_conversion(
        steps in steps(), is_clean in any::<bool>(),
    ) {
        let Random { segments, entries, .. } = Random::of(&steps);
        let mut disk = Disk::new(&segments);
        if is_clean {
            disk = disk.stopped_in_order();
        }
        let scene = disk.opened();
        let log = scene.log();
        prop_assert_eq!(read_all(&log), entries.clone());
        assert_is_magic_2(&disk.dir);
        for (index, entry) in entries.iter().enumerate() {
            let read = read_from(&log, entry.offset, Isolation::HighWatermark);
            prop_assert_eq!(&read[..], &entries[index..]);
        }
        let next = entries.last().map_or(0, |entry| entry.offset + 1);
        prop_assert_eq!(append_one(&log, "k", "goes on"), next.max(log.segments().active().base_offset()));
    }

    #[test]
    fn a_mutated_old_log_never_panics_and_is_loaded_whole_or_left_alone(
        steps in steps(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        recovery_point in 0..40i64,
    ) {
        let Random { mut segments, entries, .. } = Random::of(&steps);
        let total: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
        if total == 0 {
            return Ok(());
        }
        for (at, value) in changes {
            let mut at = at.index(total);
            for (_, bytes) in &mut segments {
                if at < bytes.len() {
                    bytes[at] = value;
                    break;
                }
                at -= bytes.len();
            }
        }
        let disk = Disk::new(&segments).recovery_point(recovery_point);
        let before = disk.logs();
        let scene = disk.opened();
        match scene.manager.get(&topic_partition()) {            // Only keys and values of messages whose checksum was right.
            Some(log) => {
                for entry in valid_entries(&log) {
                    prop_assert!(entries.iter().any(|e| (&e.key, &e.value) == (&entry.key, &entry.value)));
                }
            }
            None => prop_assert_eq!(disk.leftovers(), Vec::<String>::new()),
        }
        if scene.manager.get(&topic_partition()).is_none() {
            // A segment that was whole may have been converted before the damaged one was met.
            let bases = |logs: &[(String, Vec<u8>)]| logs.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
            prop_assert_eq!(bases(&disk.logs()), bases(&before));
        }
    }
}
