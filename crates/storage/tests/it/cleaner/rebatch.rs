//! Survivors of small batches become large batches, where nobody needs the small ones.

use lastword_record::CompressionType;
use lastword_storage::config::{LogConfig, TopicCompression};

use super::scene::Scene;

fn scene(text: &str) -> Scene {
    Scene::with_config(text, |config| config.compaction_rebatch = true)
}

fn scene_with(text: &str, configure: impl Fn(&mut LogConfig)) -> Scene {
    Scene::with_config(text, |config| {
        config.compaction_rebatch = true;
        configure(config);
    })
}

#[test]
fn neighbours_become_one_batch_that_covers_their_offsets() {
    let mut scene = scene("a1@0 b1@1 [a2@2 c1@3] | [b2@4 d1@5] d2@6 | A: e1@7");
    let stats = scene.clean();
    assert_eq!(scene.survivors(), "[a2@2 c1@3 b2@4 d2@6] [e1@7]");
    assert_eq!(stats.batches_merged, 3);
}

#[test]
fn a_batch_without_a_neighbour_stays_what_it_is() {
    let mut alone =
        scene("[a1@0 b1@1]{p9 s0} [b2@2 c1@3]{p9 s2} [c2@4]{p8 s0} | A: y1@5{p9 s4} y2@6{p8 s1}");
    alone.set_clock(0);
    let stats = alone.clean();
    // Merged as nothing pins them: both producers have written since.
    assert_eq!(alone.survivors(), "[a1@0 b2@2 c2@4] [y1@5] [y2@6]");
    assert_eq!(stats.batches_merged, 3);
    let mut scene = scene("[a1@0 b1@1]{p9 s0} [b2@2 c1@3]{txn p7 s0} C@4{p7} | A: y1@5{p9 s2}");
    scene.clean();
    let header = scene.batches()[0].header;
    assert_eq!((header.producer_id, header.base_sequence), (9, 0));
}

#[test]
fn the_last_batch_of_a_producer_stays_apart_until_it_writes_again() {
    let mut scene = scene("a1@0 [b1@1]{p9 s0} c1@2 a2@3 | A: z1@4");
    scene.clean();
    assert_eq!(scene.survivors(), "[b1@1] [c1@2 a2@3] [z1@4]");
    scene.write("[d1@5]{p9 s1} c2@6 | A: z2@7");
    scene.clean();
    let survivors = scene.survivors();
    assert!(survivors.starts_with("[b1@1 a2@3"), "{survivors}");
    // Its sequence goes on, also after the state is read back from the log.
    let scene = scene.crashed(lastword_storage::dir::CrashModel::DurableOnly, 1);
    let known: Vec<i32> = scene
        .log
        .active_producers()
        .iter()
        .map(|p| p.last_sequence)
        .collect();
    assert_eq!(known, [1]);
}

#[test]
fn transactions_markers_and_horizons_stay_apart() {
    let mut scene =
        scene("a1@0 a2@1 [b1@2]{p1 txn s0} C@3{p1} c1@4 cT@5 d1@6 e1@7 | A: y1@8{p1 s1}");
    scene.clean_at(0);
    assert_eq!(
        scene.survivors(),
        "[a2@1] [b1@2] C@3 [cT@5]h1000 [d1@6 e1@7] [y1@8]"
    );
}

#[test]
fn timestamp_types_stay_apart() {
    let mut scene = scene("a1@0 b1@1 [c1@2]{lat} [d1@3]{lat} e1@4 a2@5 | A: z1@6");
    scene.clean();
    let kinds: Vec<_> = scene
        .batches()
        .iter()
        .map(|batch| batch.header.timestamp_type())
        .collect();
    assert!(kinds.len() >= 4, "{}", scene.survivors());
}

#[test]
fn the_codec_is_the_topics_or_else_the_batches_own() {
    let text = "[a1@0]{lz4} [b1@1]{lz4} [c1@2]{zstd} [d1@3]{zstd} a2@4 b2@5 | A: z1@6";
    let codecs = |compression_type| {
        let mut scene = scene_with(text, |config| config.compression_type = compression_type);
        scene.clean();
        let batches = scene.batches();
        let cleaned = batches.iter().filter(|batch| batch.header.base_offset < 6);
        cleaned
            .map(|batch| batch.header.compression().unwrap())
            .collect::<Vec<_>>()
    };
    let gzip = CompressionType::Gzip;
    assert_eq!(codecs(TopicCompression::Codec(gzip)), [gzip]);
    assert_eq!(
        codecs(TopicCompression::Uncompressed),
        [CompressionType::None]
    );
    assert_eq!(
        codecs(TopicCompression::Producer),
        [CompressionType::Zstd, CompressionType::None]
    );
}

#[test]
fn merged_batches_have_a_limit() {
    let value = "x".repeat(1_000);
    let many: Vec<String> = (0..200).map(|i| format!("k{i}={value}@{i}")).collect();
    let text = format!("{} k0=y@200 | A: z1@201", many.join(" "));
    let mut large = scene_with(&text, |config| config.segment_bytes = 1 << 20);
    large.clean();
    let sizes: Vec<usize> = large
        .batches()
        .iter()
        .map(|batch| batch.bytes.len())
        .collect();
    assert!(
        sizes.len() <= 6 && sizes.iter().all(|bytes| *bytes < 70_000),
        "{sizes:?}"
    );
    let mut small = scene_with(&text, |config| {
        config.segment_bytes = 1 << 20;
        config.max_message_bytes = 5_000;
    });
    small.clean();
    let sizes: Vec<usize> = small
        .batches()
        .iter()
        .map(|batch| batch.bytes.len())
        .collect();
    assert!(sizes.len() > 20, "{sizes:?}");
}

#[test]
fn a_second_cleaning_merges_nothing_more() {
    let mut scene = scene("a1@0 b1@1 a2@2 c1@3 | d1@4 e1@5 b2@6 | A: z1@7");
    scene.clean();
    let first = scene.survivors();
    let stats = scene.clean();
    assert_eq!((stats.bytes_written, scene.survivors()), (0, first));
}

#[test]
fn off_by_config_every_batch_stays_for_itself() {
    let mut scene = Scene::new("a1@0 b1@1 a2@2 | A: z1@3");
    let stats = scene.clean();
    assert_eq!(
        (scene.survivors().as_str(), stats.batches_merged),
        ("[b1@1] [a2@2] [z1@3]", 0)
    );
    assert!(LogConfig::default().compaction_rebatch);
}
