//! Counting the records that exist: the same as reading everything, from every offset.

use lastword_record::Decompressor;
use lastword_storage::dir::CrashModel;
use lastword_storage::record_count::RecordCounter;

use super::random::Model;
use super::scene::Scene;

fn count(counter: &mut RecordCounter, scene: &Scene, from: i64, to: i64) -> u64 {
    let mut decompressor = Decompressor::new(1 << 20);
    let counted = counter.count(&scene.log, from..to, &mut decompressor, &mut || true);
    counted.unwrap().expect("nobody has told it to stop")
}

/// Offsets of the records that consumers could be given.
fn offsets(scene: &Scene) -> Vec<i64> {
    let batches = scene.batches();
    let data = batches.iter().filter(|batch| !batch.header.is_control());
    data.flat_map(|batch| batch.rows.iter().map(|row| row.offset))
        .collect()
}

#[test]
fn from_every_offset_a_count_is_what_a_reader_of_everything_counts() {
    for seed in 0..30 {
        let mut model = Model::new(seed);
        let mut scene = Scene::with_config("", |config| config.segment_bytes = 2_000);
        let mut counter = RecordCounter::default();
        for round in 0..6 {
            scene.write(&model.write());
            if round % 2 == 1 {
                scene.clean_at(round * 700);
            }
            let offsets = offsets(&scene);
            let end = scene.log.offsets().log_end_offset;
            for from in 0..=end {
                let expected = offsets.iter().filter(|it| **it >= from).count();
                let counted = count(&mut counter, &scene, from, end);
                assert_eq!(
                    counted, expected as u64,
                    "seed {seed}, round {round}, from {from}"
                );
                let expected = offsets.iter().filter(|it| **it < from).count();
                let counted = count(&mut counter, &scene, 0, from);
                assert_eq!(
                    counted, expected as u64,
                    "seed {seed}, round {round}, to {from}"
                );
            }
            if seed % 3 == 0 {
                scene = scene.crashed(CrashModel::DurableOnly, seed);
            }
        }
    }
}

#[test]
fn a_count_that_is_stopped_goes_on_where_it_was_and_markers_do_not_count() {
    let mut text = String::new();
    for offset in 0..3_000 {
        text.push_str(&format!("a{}@{offset} ", offset % 7));
    }
    text.push_str("[b1@3000]{p5 txn} X@3001{p5} [b1@3002]{p5 txn} C@3003{p5}");
    let scene = Scene::new(&text);
    let mut counter = RecordCounter::default();
    let mut decompressor = Decompressor::new(1 << 20);
    let mut stops = 0;
    let counted = loop {
        let counted = counter
            .count(&scene.log, 0..i64::MAX, &mut decompressor, &mut || false)
            .unwrap();
        match counted {
            Some(counted) => break counted,
            None => stops += 1,
        }
        assert!(stops < 100, "it begins again each time");
    };
    assert!(stops > 0, "nothing was stopped");
    assert_eq!(counted, 3_002);
    assert_eq!(count(&mut counter, &scene, 2_999, 3_001), 2);
    assert_eq!(count(&mut counter, &scene, -5, 3), 3);
    assert_eq!(count(&mut counter, &scene, 3_004, i64::MAX), 0);
}
