//! Random work against a plain vector: the log must say the same at every step.

use lastword_record::BatchSpec;
use lastword_storage::dir::CrashModel;
use lastword_storage::{AppendOrigin, Isolation};
use proptest::prelude::*;

use super::swap::{cleaned, inputs, survivors};
use super::{Entry, Scene, batch, read_from, small_segments};

#[derive(Clone, Debug)]
enum Step {
    Append {
        keys: Vec<u8>,
        producer: Option<i64>,
    },
    Sync,
    Roll,
    Reopen,
    Crash(usize, u64),
    DeleteRecords(u8),
    Clean,
    Tick(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec(0..6_u8, 1..5);
    prop_oneof![
        8 => (keys, prop::option::of(1..3_i64))
            .prop_map(|(keys, producer)| Step::Append { keys, producer }),
        3 => Just(Step::Sync),
        1 => Just(Step::Roll),
        1 => Just(Step::Reopen),
        2 => (0..CrashModel::ALL.len(), any::<u64>())
            .prop_map(|(model, seed)| Step::Crash(model, seed)),
        1 => any::<u8>().prop_map(Step::DeleteRecords),
        2 => Just(Step::Clean),
        1 => any::<u16>().prop_map(Step::Tick),
    ]
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    log_end_offset: i64,
    high_watermark: i64,
    log_start_offset: i64,
    next_value: u32,
    /// Next sequence of producers 1 and 2; none when the log may have forgotten their last batch.
    sequences: [Option<i32>; 3],
}

impl Model {
    fn append(&mut self, scene: &Scene, keys: &[u8], producer: Option<i64>) {
        let log = scene.log();
        let mut records = Vec::new();
        for key in keys {
            self.next_value += 1;
            records.push((format!("key {key}"), format!("value {}", self.next_value)));
        }
        let mut spec = BatchSpec::default();
        if let Some(producer_id) = producer {
            let known = &mut self.sequences[usize::try_from(producer_id).expect("small")];
            let sequence = known.unwrap_or(0);
            spec.producer_id = producer_id;
            spec.producer_epoch = 0;
            spec.base_sequence = sequence;
            *known = Some(sequence + i32::try_from(keys.len()).expect("small"));
        }
        let borrowed: Vec<(&str, Option<&str>)> = records
            .iter()
            .map(|(key, value)| (key.as_str(), Some(value.as_str())))
            .collect();
        let appended = log
            .append(&batch(spec, &borrowed), AppendOrigin::Client, 0)
            .expect("appended");
        assert_eq!(appended.base_offset, self.log_end_offset);
        for (key, value) in records {
            self.entries.push(Entry {
                offset: self.log_end_offset,
                key,
                value: Some(value),
            });
            self.log_end_offset += 1;
        }
        assert_eq!(appended.last_offset + 1, self.log_end_offset);
    }

    /// After a crash the log is a prefix of what it was, at least as long as what was durable.
    fn crashed(&mut self, scene: &Scene) {
        let offsets = scene.log().offsets();
        assert!(offsets.log_end_offset >= self.high_watermark);
        assert!(offsets.log_end_offset <= self.log_end_offset);
        if offsets.log_end_offset < self.log_end_offset {
            // Which sequences were cut is the log's to say.
            for view in scene.log().active_producers() {
                let index = usize::try_from(view.producer_id).expect("small");
                self.sequences[index] = Some(view.last_sequence + 1);
            }
            let known: Vec<i64> = scene
                .log()
                .active_producers()
                .iter()
                .map(|view| view.producer_id)
                .collect();
            for producer_id in 1..3 {
                if !known.contains(&producer_id) {
                    self.sequences[usize::try_from(producer_id).expect("small")] = None;
                }
            }
        }
        self.log_end_offset = offsets.log_end_offset;
        self.high_watermark = offsets.high_watermark;
        self.entries
            .retain(|entry| entry.offset < offsets.log_end_offset);
    }

    fn check(&self, scene: &Scene) {
        let log = scene.log();
        let offsets = log.offsets();
        assert_eq!(offsets.log_end_offset, self.log_end_offset);
        assert_eq!(offsets.log_start_offset, self.log_start_offset);
        let visible = |end: i64| -> Vec<Entry> {
            let range = self.log_start_offset..end;
            self.entries
                .iter()
                .filter(|entry| range.contains(&entry.offset))
                .cloned()
                .collect()
        };
        let start = self.log_start_offset;
        let read = read_from(&log, start, Isolation::HighWatermark);
        assert_eq!(read, visible(offsets.high_watermark));
        assert_eq!(
            read_from(&log, start, Isolation::LogEnd),
            visible(self.log_end_offset)
        );
    }
}

fn run(steps: Vec<Step>) {
    let mut scene = Scene::new(small_segments());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append { keys, producer } => model.append(&scene, &keys, producer),
            Step::Sync => model.high_watermark = scene.log().sync().expect("synced"),
            Step::Roll => {
                scene.log().roll().expect("rolled");
            }
            Step::Reopen => {
                scene = scene.reopened();
                model.high_watermark = model.log_end_offset;
            }
            Step::Crash(crash_model, seed) => {
                scene = scene.crashed(CrashModel::ALL[crash_model], seed);
                model.crashed(&scene);
            }
            Step::DeleteRecords(share) => {
                let span = model.high_watermark - model.log_start_offset;
                let offset = model.log_start_offset + span * i64::from(share) / 512;
                let start = scene.log().delete_records_before(offset).expect("deleted");
                assert_eq!(start, offset);
                model.log_start_offset = start;
            }
            Step::Clean => {
                // A cleaner never goes beyond the high watermark.
                let log = scene.log();
                model.high_watermark = log.sync().expect("synced");
                let inputs = inputs(&log);
                if !inputs.is_empty() {
                    let end = log.segments().active().base_offset();
                    let output = cleaned(&log, &inputs).expect("cleaned");
                    log.replace_segments(&inputs, vec![output])
                        .expect("swapped");
                    // The cleaner here also sees records below the log start that still have files.
                    model.entries = survivors(&model.entries, end);
                }
            }
            Step::Tick(by_ms) => {
                scene.clock.advance_ms(i64::from(by_ms));
                scene.manager.tick(scene.clock.now_ms());
            }
        }
        model.check(&scene);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_log_says_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        run(steps);
    }
}
