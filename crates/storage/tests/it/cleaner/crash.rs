//! Power cuts at every step of every file operation of a cleaning: what is found is the state before or after it, group
//! by group, no deleted key comes back, and no file is left that belongs to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lastword_storage::cleaner::LogCleaner;
use lastword_storage::dir::{CrashModel, Dir, SimDir, read_file};
use lastword_storage::manager::{LogManager, LogManagerConfig};

use super::hooked_dir::{HookedDir, ReadHook};
use super::key_index::{key_indexes, stray_files};
use super::scene::{Batch, Scene, open, topic_partition};

const NOW_MS: i64 = 2_000;
const NEVER: u64 = 1 << 40;

type Rows = BTreeSet<i64>;
/// Does something to a copy of a scene in this directory, which loses power after so many operations; answers how many
/// there were.
type Action = dyn Fn(&Scene, &SimDir, u64) -> u64;

fn rows(batches: &[Batch]) -> Rows {
    let rows = batches.iter().flat_map(|batch| &batch.rows);
    rows.map(|row| row.offset).collect()
}

fn rows_in(rows: &Rows, range: &Range<i64>) -> Rows {
    rows.range(range.clone()).copied().collect()
}

fn count(dir: &SimDir, step: u64, act: impl FnOnce()) -> u64 {
    let start = dir.operation_count();
    dir.crash_after(step);
    act();
    dir.operation_count() - start
}

fn clean(template: &Scene, dir: &SimDir, step: u64) -> u64 {
    let scene = template.opened_on(dir.clone());
    scene.set_clock(NOW_MS);
    count(dir, step, || {
        drop(scene.cleaner.clean_now(&topic_partition()))
    })
}

fn build_indexes(template: &Scene, dir: &SimDir, step: u64) -> u64 {
    let scene = template.opened_on(dir.clone());
    scene.set_clock(NOW_MS);
    count(dir, step, || {
        drop(scene.cleaner.dry_run(&topic_partition()))
    })
}

/// A scene, what is done to it, and what may be found after a power cut in between.
struct Story {
    template: Scene,
    action: Box<Action>,
    /// A bit that is flipped in the template, by file and place.
    damage: Option<(&'static str, u64)>,
    operations: u64,
    before: Rows,
    after: Rows,
    /// The offsets of each group.
    ranges: Vec<Range<i64>>,
    /// What a consumer must and may see.
    least: BTreeMap<String, String>,
    most: BTreeMap<String, String>,
    /// What is left when it is cleaned again.
    again: Rows,
}

impl Story {
    fn new(template: Scene, action: impl Fn(&Scene, &SimDir, u64) -> u64 + 'static) -> Story {
        Story::damaged(template, None, action)
    }

    fn damaged(
        template: Scene,
        damage: Option<(&'static str, u64)>,
        action: impl Fn(&Scene, &SimDir, u64) -> u64 + 'static,
    ) -> Story {
        let before = template.copied();
        let (least, most) = (before.committed_map(), before.committed_map());
        let before = rows(&before.batches());
        // Recovery reads what is behind the last checkpoint, and damage there is another story.
        template.manager.checkpoint().unwrap();
        if let Some((file, bit)) = damage {
            template.dir.flip_bit(file, bit).unwrap();
        }
        let dir = template.dir.crash(CrashModel::Killed, 0);
        let operations = action(&template, &dir, NEVER);
        let mut story = Story {
            template,
            action: Box::new(action),
            damage,
            operations,
            before,
            after: Rows::new(),
            ranges: Vec::new(),
            least,
            most,
            again: Rows::new(),
        };
        let mut reference = story.repaired(dir.crash(CrashModel::Killed, 0));
        let segments = reference.log.segments();
        let bases: Vec<i64> = segments.iter().map(|it| it.base_offset()).collect();
        let ends = bases.iter().skip(1).copied().chain([i64::MAX]);
        story.ranges = bases.iter().zip(ends).map(|(a, b)| *a..b).collect();
        story.after = rows(&reference.batches());
        story.least = reference.committed_map();
        reference.clean_at(NOW_MS);
        story.again = rows(&reference.batches());
        story
    }

    /// Opened without the damage, which nothing may have touched.
    fn repaired(&self, dir: SimDir) -> Scene {
        if let Some((file, bit)) = self.damage {
            let damaged = read_file(&*self.template.dir, file).unwrap();
            assert!(read_file(&dir, file).unwrap() == damaged, "{file}");
            dir.flip_bit(file, bit).unwrap();
        }
        self.template.opened_on(dir)
    }

    fn check(&self, dir: SimDir, context: &dyn Fn() -> String) {
        let mut scene = self.repaired(dir);
        let found = rows(&scene.batches());
        for range in &self.ranges {
            let [found, before, after] =
                [&found, &self.before, &self.after].map(|it| rows_in(it, range));
            assert!(
                found == before || found == after,
                "{range:?} is a mix: {}",
                context()
            );
        }
        let map = scene.committed_map();
        let is_contained = |part: &BTreeMap<String, String>, whole: &BTreeMap<String, String>| {
            part.iter()
                .all(|(key, value)| whole.get(key) == Some(value))
        };
        assert!(is_contained(&self.least, &map), "{map:?}: {}", context());
        assert!(is_contained(&map, &self.most), "{map:?}: {}", context());
        assert_eq!(
            stray_files(&scene.dir, &scene.log),
            [""; 0],
            "{}",
            context()
        );
        let end = scene.log.offsets().log_end_offset;
        assert_eq!(end, self.template.log.offsets().log_end_offset);
        scene.clean_at(NOW_MS);
        let first = self.ranges.first().map_or(0, |range| range.start);
        let range = first..i64::MAX;
        let again = rows_in(&rows(&scene.batches()), &range);
        assert_eq!(again, rows_in(&self.again, &range), "{}", context());
        assert_eq!(
            stray_files(&scene.dir, &scene.log),
            [""; 0],
            "{}",
            context()
        );
    }

    /// A power cut at every step, under every model of what it leaves.
    fn cut_everywhere(&self) {
        for step in 0..=self.operations {
            let dir = self.template.dir.crash(CrashModel::Killed, 0);
            (self.action)(&self.template, &dir, step);
            for model in CrashModel::ALL {
                self.check(dir.crash(model, step), &|| {
                    let trace = dir.trace();
                    let trace = &trace[trace.len().saturating_sub(60)..];
                    format!("{model:?}, step {step} of {}: {trace:#?}", self.operations)
                });
            }
        }
    }

    /// And another at every step of the recovery from it.
    fn cut_twice_everywhere(&self, first: CrashModel, second: CrashModel) {
        let mut recoveries = 0;
        for step in 0..=self.operations {
            let dir = self.template.dir.crash(CrashModel::Killed, 0);
            (self.action)(&self.template, &dir, step);
            for recovery_step in 0.. {
                let dir = dir.crash(first, step);
                dir.crash_after(recovery_step);
                let config = self.template.config();
                let opened = LogManager::open(
                    LogManagerConfig::default(),
                    Arc::new(dir.clone()),
                    self.template.clock.clone(),
                    &|_| config.clone(),
                );
                if opened.is_ok_and(|_| !dir.has_crashed()) {
                    break;
                }
                recoveries += 1;
                self.check(dir.crash(second, step ^ recovery_step), &|| {
                    format!("{first:?} at {step}, {second:?} at {recovery_step}")
                });
            }
        }
        assert!(recoveries > self.operations, "{recoveries}");
    }
}

/// Several groups, a transaction, tombstones whose horizon has passed, others that have none yet, untouched segments,
/// batches that are emptied for their producer.
fn eventful() -> Scene {
    let text = "[a1@0 b1@1] c1@2 | d1@3 [e1@4]{p1 txn s0} | aT@5 X@6{p1} [d2@7 f1@8] | b2@9 e2@10 g1@11 | \
                A: y1@12{p1 s1}";
    let mut scene = Scene::with_config(text, |config| config.segment_bytes = 250);
    scene.clean_at(0);
    assert!(scene.survivors().contains("[aT@5]h1000"));
    scene.write(
        "d3@13 fT@14 | [h1@15 i1@16]{p2 s0} | i2@17 h2@18 g2@19 | j1@20 k1@21 l1@22 | A: z1@23",
    );
    scene
}

/// Transactions that lie across segments, aborted and committed, with markers of all ages.
fn transactional() -> Scene {
    let text = "[a1@0 b1@1]{p1 txn s0} c1@2 | [a2@3]{p2 txn s0} X@4{p1} d1@5 | C@6{p2} [b2@7]{p1 txn s2} d2@8 | \
                [e1@9 f1@10]{p2 txn s1} X@11{p1} | X@12{p2} a3@13 c2@14 | A: y1@15";
    let mut scene = Scene::with_config(text, |config| config.segment_bytes = 250);
    scene.clean_at(0);
    scene.clean_at(500);
    scene.write(
        "[c3@16]{p1 txn s3} g1@17 | X@18{p1} [a4@19]{p2 txn s3} g2@20 | C@21{p2} d3@22 | A: y2@23",
    );
    scene
}

#[test]
fn case_57_a_power_cut_at_any_step_leaves_the_log_as_before_or_after() {
    let story = Story::new(eventful(), clean);
    assert!(story.after.len() < story.before.len() && story.operations > 60);
    // The tombstone whose horizon has passed goes, the one without a horizon stays.
    assert!(!story.after.contains(&5) && story.after.contains(&14));
    assert!(story.ranges.len() > 3, "{:?}", story.ranges);
    story.cut_everywhere();
}

#[test]
fn case_57_with_key_indexes_that_are_there_already() {
    let template = eventful();
    let without = Story::new(template.copied(), clean).operations;
    template.cleaner.dry_run(&topic_partition()).unwrap();
    assert!(key_indexes(&template.dir).len() > 3);
    let story = Story::new(template, clean);
    assert!(story.operations < without);
    story.cut_everywhere();
}

#[test]
fn case_57_with_transactions() {
    let story = Story::new(transactional(), clean);
    assert!(story.after.len() < story.before.len());
    story.cut_everywhere();
}

#[test]
fn case_57_with_little_memory() {
    let mut template = eventful();
    template.cleaner_config.dedupe_buffer_size_bytes = 200;
    Story::new(template, clean).cut_everywhere();
}

#[test]
fn case_57_with_a_damaged_segment_that_stays_as_it_is() {
    let text = "a1@0 b1@1 c1@2 | a2@3 b2@4 cT@5 | a3@6 d1@7 e1@8 | a4@9 d2@10 e2@11 | A: z1@12";
    let template = Scene::with_config(text, |config| config.segment_bytes = 250);
    let damage = ("t-0/00000000000000000003.log", 70 * 8);
    let story = Story::damaged(template, Some(damage), clean);
    let kept = rows_in(&story.after, &(3..6));
    assert_eq!(kept, Rows::from([3, 4, 5]));
    assert!(story.after.len() < story.before.len());
    story.cut_everywhere();
}

#[test]
fn a_power_cut_while_key_indexes_are_built_leaves_no_half_of_one() {
    let story = Story::new(eventful(), build_indexes);
    assert_eq!(story.after, story.before);
    assert!(story.operations > 10);
    story.cut_everywhere();
}

#[test]
fn a_power_cut_in_a_cleaning_that_a_deletion_of_records_interrupts() {
    // The first group is being read when its first segments are deleted.
    let template = eventful();
    template.cleaner.dry_run(&topic_partition()).unwrap();
    let action = |template: &Scene, dir: &SimDir, step: u64| {
        let hook = ReadHook::default();
        let hooked = HookedDir {
            inner: dir.clone(),
            hooks: vec![("t-0/00000000000000000000.log", hook.clone())],
        };
        let manager = open(Arc::new(hooked), &template.clock, &template.config());
        let log = manager.get(&topic_partition()).unwrap();
        let cleaner = LogCleaner::new(manager, template.cleaner_config.clone()).unwrap();
        template.set_clock(NOW_MS);
        let deletions = Arc::new(AtomicU32::new(0));
        hook.set({
            let (log, hook, deletions) = (log.clone(), hook.clone(), deletions.clone());
            let second = log.segments().as_slice()[1].base_offset();
            move || {
                hook.clear();
                deletions.fetch_add(1, Ordering::SeqCst);
                drop(log.delete_records_before(second));
            }
        });
        let operations = count(dir, step, || drop(cleaner.clean_now(&topic_partition())));
        assert!(step < NEVER || deletions.load(Ordering::SeqCst) == 1);
        operations
    };
    let story = Story::new(template, action);
    assert!(story.least.len() < story.most.len());
    story.cut_everywhere();
}

#[test]
fn a_second_power_cut_during_recovery_changes_nothing() {
    let text = "[a1@0 b1@1] c1@2 | aT@3 [b2@4 d1@5]{p1 s0} | c2@6 d2@7 | A: y1@8{p2 s0}";
    let scene = || Scene::with_config(text, |config| config.segment_bytes = 200);
    let story = Story::new(scene(), clean);
    story.cut_twice_everywhere(CrashModel::Killed, CrashModel::DurableOnly);
    story.cut_twice_everywhere(CrashModel::Weak, CrashModel::Weak);
}

/// In a real directory the next group is being rewritten while one is swapped in.
#[test]
fn a_power_cut_takes_what_is_written_of_the_next_group() {
    let story = Story::new(eventful(), clean);
    let [.., last, _active] = story.ranges.as_slice() else {
        panic!("{:?}", story.ranges);
    };
    let base = format!("t-0/{:020}", last.start);
    let log = read_file(&*story.template.dir, &format!("{base}.log")).unwrap();
    let mut beside_a_journal = 0;
    for step in 0..=story.operations {
        let dir = story.template.dir.crash(CrashModel::Killed, 0);
        (story.action)(&story.template, &dir, step);
        for model in CrashModel::ALL {
            let dir = dir.crash(model, step);
            let files = dir.files();
            let names = || files.iter().map(|(name, _)| name.as_str());
            // From here on they are its own.
            if names().any(|name| name.starts_with(&base) && name.contains(".replace")) {
                continue;
            }
            beside_a_journal += u32::from(names().any(|name| name.contains(".replace")));
            for (extension, bytes) in [("log", &log[..log.len() / 2]), ("timeindex", b"half")] {
                let file = dir.create(&format!("{base}.{extension}.cleaned")).unwrap();
                file.write_all_at(bytes, 0).unwrap();
                file.sync_data().unwrap();
            }
            dir.sync_dir("t-0").unwrap();
            story.check(dir, &|| format!("{model:?}, step {step}"));
        }
    }
    assert!(beside_a_journal > 0);
}

/// A tombstone whose horizon has passed, and the value it deletes still there: what a cleaning leaves that could not swap
/// its first group.
fn half_swapped() -> Scene {
    // Values that keep the segments in groups of their own.
    let x = "x".repeat(150);
    let text = format!("a1@0 b={x}@1 | c={x}@2 d1@3 | aT@4 e={x}@5 |");
    let mut scene = Scene::with_config(&text, |config| config.segment_bytes = 300);
    scene.configure(|config| config.delete_retention_ms = 0);
    let first = "t-0/00000000000000000000.log";
    let bytes = read_file(&*scene.dir, first).unwrap();
    scene.clean_at(0);
    let file = scene.dir.create(first).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.sync_data().unwrap();
    scene.dir.remove("cleaner-offset-checkpoint").unwrap();
    scene.dir.sync_dir("").unwrap();
    let mut scene = scene.reopened();
    assert!(
        scene.survivors().contains("[aT@4]h0"),
        "{}",
        scene.survivors()
    );
    scene.write("d2@6 f1@7 | d3@8 f2@9 |");
    scene
}

#[test]
fn a_power_cut_between_two_groups_does_not_bring_a_deleted_key_back() {
    let story = Story::new(half_swapped(), clean);
    assert!(story.before.contains(&0) && story.before.contains(&4));
    assert!(!story.after.contains(&0) && !story.after.contains(&4));
    assert!(!story.most.contains_key("a"));
    assert_eq!(story.most.len(), 5);
    story.cut_everywhere();
}
