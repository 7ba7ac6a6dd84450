//! The last batch of a producer that is still known stays, empty if need be: it holds the sequence number.

use lastword_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchSpec};
use lastword_storage::dir::Dir;
use lastword_storage::error::StorageError;
use lastword_storage::log::{AppendOrigin, Appended};

use super::scene::Scene;

const EXPIRED_MS: i64 = 90_000_000;

fn produce(scene: &Scene, base_sequence: i32, records: i64) -> Result<Appended, StorageError> {
    let mut builder = BatchBuilder::new(BatchSpec {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence,
        ..BatchSpec::default()
    });
    for record in 0..records {
        builder.push(record, 1_000, Some(b"q"), Some(b"1"), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    scene.log.append(&bytes, AppendOrigin::Client, 0)
}

#[test]
fn case_26_the_last_batch_of_a_live_producer_stays_as_a_header() {
    let mut scene = Scene::new("[a1@0 a2@1 a3@2]{p9 s0 gzip} a4@3 |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..2[] [a4@3]");
    let batch = &scene.batches()[0];
    let header = &batch.header;
    assert_eq!(batch.bytes.len(), BATCH_HEADER_BYTES);
    assert_eq!(
        (
            header.record_count,
            header.base_sequence,
            header.last_sequence()
        ),
        (0, 0, 2)
    );
    assert_eq!(
        (
            header.attributes,
            header.base_timestamp,
            header.max_timestamp
        ),
        (0, -1, 1_002)
    );
    let appended = produce(&scene, 0, 3).unwrap();
    assert!(appended.duplicate);
    assert_eq!(appended.last_offset, 2);
    let appended = produce(&scene, 3, 1).unwrap();
    assert!(!appended.duplicate);
    assert_eq!(appended.base_offset, 4);
}

#[test]
fn case_27_an_expired_producer_keeps_nothing() {
    let mut scene = Scene::new("[a1@0 a2@1 a3@2]{p9 s0} a4@3 |");
    scene.clean_at(EXPIRED_MS);
    assert_eq!(scene.survivors(), "[a4@3]");
}

#[test]
fn case_28_the_header_goes_when_its_producer_writes_again() {
    let mut scene = Scene::new("[a1@0 a2@1 a3@2]{p9 s0} a4@3 |");
    scene.clean();
    scene.write("b1@4{p9 s3} |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a4@3] [b1@4]");
}

#[test]
fn case_29_producer_state_can_be_rebuilt_from_a_cleaned_log() {
    let mut scene = Scene::new("[a1@0 a2@1 a3@2]{p9 s0} a4@3 |");
    scene.clean();
    let names: Vec<String> = scene
        .dir
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for snapshot in names.iter().filter(|name| name.ends_with(".snapshot")) {
        scene.dir.remove(snapshot).unwrap();
    }
    let scene = scene.crashed(lastword_storage::dir::CrashModel::Ordered, 1);
    assert_eq!(scene.survivors(), "0..2[] [a4@3]");
    assert!(produce(&scene, 0, 3).unwrap().duplicate);
    assert!(matches!(
        produce(&scene, 4, 1),
        Err(StorageError::OutOfOrderSequence {
            expected: 3,
            got: 4,
            ..
        })
    ));
    assert!(!produce(&scene, 3, 1).unwrap().duplicate);
}

#[test]
fn case_30_a_segment_may_hold_nothing_but_headers() {
    let mut scene = Scene::new("[a1@0]{p1 s0} [b1@1]{p2 s0} | a2@2 b2@3 |");
    scene.configure(|config| config.segment_bytes = 150);
    scene.clean();
    assert_eq!(scene.survivors(), "0..0[] 1..1[] [a2@2] [b2@3]");
    let scene = scene.reopened();
    assert_eq!(scene.survivors(), "0..0[] 1..1[] [a2@2] [b2@3]");
}

#[test]
fn case_31_many_dropped_batches_are_passed_over() {
    let value = "x".repeat(3_000);
    let text: Vec<String> = (0..300)
        .map(|offset| format!("a={value}@{offset}"))
        .collect();
    let mut scene = Scene::new(&format!("{} z1@300 | A:", text.join(" ")));
    let stats = scene.clean();
    assert_eq!(stats.batches_dropped, 299);
    assert_eq!(scene.batches().len(), 2);
}

#[test]
fn case_32_sequences_wrap_inside_a_cleaned_batch() {
    let mut scene = Scene::new("[a1@0 b1@1 c1@2]{p9 s2147483646} a2@3 |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..2[b1@1 c1@2] [a2@3]");
    let header = &scene.batches()[0].header;
    assert_eq!(
        (header.base_sequence, header.last_sequence()),
        (i32::MAX - 1, 0)
    );
    assert_eq!(produce(&scene, 1, 1).unwrap().base_offset, 4);
}

#[test]
fn case_33_only_the_last_batch_of_the_last_epoch_is_pinned() {
    let mut scene = Scene::new("[a1@0]{p9 e0 s0} [a2@1]{p9 e1 s0} a3@2 |");
    scene.clean();
    assert_eq!(scene.survivors(), "1..1[] [a3@2]");
}

#[test]
fn a_header_goes_at_the_first_cleaning_after_its_producer_expired() {
    let mut scene = Scene::new("[a1@0]{p9 s0} a2@1 |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..0[] [a2@1]");
    scene.write("b1@2 |");
    scene.clean_at(EXPIRED_MS);
    assert_eq!(scene.survivors(), "[a2@1] [b1@2]");
}
