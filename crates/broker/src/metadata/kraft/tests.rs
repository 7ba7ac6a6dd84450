use std::path::PathBuf;

use lastword_record::control::ControlRecordType;
use lastword_record::{BatchBuilder, BatchSpec, crc32c};
use tempfile::TempDir;

use super::*;

const ID: [u8; 16] = [7; 16];

fn fixture(name: &str) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kraft");
    fixtures.join(name)
}

/// A log directory with these files in its metadata log.
fn with_files(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("__cluster_metadata-0");
    std::fs::create_dir(&inner).unwrap();
    for (name, bytes) in files {
        std::fs::write(inner.join(name), bytes).unwrap();
    }
    dir
}

fn with_fixture(name: &str) -> TempDir {
    let entries = std::fs::read_dir(fixture(name)).unwrap();
    let files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    let files: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    with_files(&files)
}

fn read(dir: &TempDir) -> Result<Option<MetadataImage>, KraftError> {
    read_kraft_metadata(dir.path(), 1)
}

fn topics(image: &MetadataImage) -> Vec<(String, i32, String)> {
    let shown = |configs: &Properties| {
        let configs: Vec<String> = configs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        configs.join(" ")
    };
    let topics = image.topics();
    let rows = topics.map(|it| (it.name.to_string(), it.partition_count, shown(&it.configs)));
    rows.collect()
}

// A writer of the bytes, for what real Kafka would not write.

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn string(text: &str) -> Vec<u8> {
    [varint(text.len() as u32 + 1), text.as_bytes().to_vec()].concat()
}

fn record(kind: u32, body: &[&[u8]]) -> Vec<u8> {
    [varint(1), varint(kind), varint(0), body.concat(), vec![0]].concat()
}

fn topic(name: &str) -> Vec<u8> {
    record(2, &[&string(name), &ID])
}

fn partition(number: i32) -> Vec<u8> {
    record(3, &[&number.to_be_bytes(), &ID, &[1, 1, 1, 1]])
}

fn config(topic: &str, name: &str, value: Option<&str>) -> Vec<u8> {
    let value = value.map_or(vec![0], string);
    record(4, &[&[2], &string(topic), &string(name), &value])
}

fn batch(base_offset: i64, records: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset,
        ..BatchSpec::default()
    });
    for (offset, value) in (base_offset..).zip(records) {
        builder.push(offset, 0, None, Some(value), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

/// A control batch of this kind.
fn control(base_offset: i64, kind: ControlRecordType) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset,
        ..BatchSpec::default()
    });
    let key = [0u16.to_be_bytes(), (kind.id() as u16).to_be_bytes()].concat();
    builder.push(base_offset, 0, Some(&key), Some(&[0, 0]), &[]);
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes[22] |= 0x20;
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

const FIRST: &str = "00000000000000000000.log";

fn log_of(bytes: Vec<u8>) -> Result<Option<MetadataImage>, KraftError> {
    read(&with_files(&[(FIRST, bytes)]))
}

fn only(image: Result<Option<MetadataImage>, KraftError>) -> Vec<(String, i32, String)> {
    topics(&image.unwrap().unwrap())
}

fn row(name: &str, partitions: i32, configs: &str) -> (String, i32, String) {
    (name.to_owned(), partitions, configs.to_owned())
}

#[test]
fn what_real_kafka_wrote_is_read_from_its_log_and_from_its_snapshot() {
    let newest = "00000000000000000171-0000000001.checkpoint";
    for (name, without) in [("log", ""), ("snapshot", ""), ("snapshot", newest)] {
        let dir = with_fixture(name);
        if !without.is_empty() {
            // An older snapshot, and what the log says behind it.
            std::fs::remove_file(dir.path().join("__cluster_metadata-0").join(without)).unwrap();
        }
        let image = read(&dir).unwrap().unwrap();
        let offsets_topic =
            "cleanup.policy=compact compression.type=producer segment.bytes=104857600";
        let prices = "cleanup.policy=compact delete.retention.ms=1000 internal.segment.bytes=20000";
        let switched =
            "cleanup.policy=compact,delete internal.segment.bytes=20000 min.compaction.lag.ms=5000";
        assert_eq!(
            topics(&image),
            [
                row("__consumer_offsets", 4, offsets_topic),
                row("prices", 2, prices),
                row("reborn", 1, ""),
                row("switched", 1, switched),
                row("visits", 1, "retention.ms=-1"),
            ],
            "{name}"
        );
        let broker: Properties = [
            ("log.cleaner.delete.retention.ms", "60000"),
            ("log.cleaner.min.compaction.lag.ms", "22"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let own = image.broker_configs();
        for (config, value) in &broker {
            assert_eq!(own.get(config), Some(value), "{name}");
        }
        let other = read_kraft_metadata(dir.path(), 2);
        let other = other.unwrap().unwrap();
        let lag = other
            .broker_configs()
            .get("log.cleaner.min.compaction.lag.ms");
        assert_eq!(lag.map(String::as_str), Some("11"), "another node: {name}");
    }
}

#[test]
fn without_a_metadata_log_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(&dir), Ok(None));
    assert_eq!(
        read(&with_files(&[("quorum-state", b"{}".to_vec())])),
        Ok(None)
    );
}

#[test]
fn a_setting_without_a_value_is_taken_away_and_a_deleted_topic_forgotten() {
    let bytes = batch(
        0,
        &[
            topic("t"),
            partition(4),
            partition(0),
            config("t", "a", Some("1")),
            config("t", "b", Some("2")),
            config("t", "a", None),
        ],
    );
    assert_eq!(only(log_of(bytes.clone())), [row("t", 5, "b=2")]);
    let again = batch(6, &[record(9, &[&ID]), topic("t")]);
    assert_eq!(only(log_of([bytes, again].concat())), [row("t", 0, "")]);
}

#[test]
fn a_metadata_transaction_counts_only_when_it_has_ended() {
    let begin = batch(0, &[topic("t"), record(23, &[&[0]])]);
    let within = batch(2, &[config("t", "a", Some("1"))]);
    let open = [begin, within].concat();
    assert_eq!(only(log_of(open.clone())), [row("t", 0, "")]);
    let end = |kind| [open.clone(), batch(3, &[record(kind, &[])])].concat();
    assert_eq!(only(log_of(end(24))), [row("t", 0, "a=1")]);
    assert_eq!(only(log_of(end(25))), [row("t", 0, "")]);
}

#[test]
fn the_newest_snapshot_replaces_what_the_log_says_before_it() {
    let footer = |offset| control(offset, ControlRecordType::SnapshotFooter);
    let old = [batch(0, &[topic("old")]), footer(1)].concat();
    let new = [
        batch(0, &[topic("t"), config("t", "a", Some("5"))]),
        footer(2),
    ]
    .concat();
    let before = batch(0, &vec![config("t", "a", Some("1")); 10]);
    let after = batch(10, &[config("t", "b", Some("2"))]);
    let files = [
        ("00000000000000000004-0000000001.checkpoint", old),
        ("00000000000000000010-0000000001.checkpoint", new),
        (
            "00000000000000000011-0000000001.checkpoint.part",
            b"half".to_vec(),
        ),
        (FIRST, before),
        ("00000000000000000010.log", after),
    ];
    let expected = [row("t", 0, "a=5 b=2")];
    assert_eq!(only(read(&with_files(&files))), expected);
    assert_eq!(
        only(read(&with_files(&files[1..2]))),
        [row("t", 0, "a=5")],
        "no log"
    );
}

#[test]
fn a_snapshot_without_its_end_is_refused() {
    let name = "00000000000000000004-0000000001.checkpoint";
    let error = read(&with_files(&[(name, batch(0, &[topic("t")]))])).unwrap_err();
    assert_eq!(error.reason, "the snapshot is not finished");
    let torn = batch(0, &[topic("t")]);
    let torn = torn[..torn.len() - 1].to_vec();
    assert!(read(&with_files(&[(name, torn)])).is_err());
}

#[test]
fn a_torn_end_of_the_last_segment_is_left_out() {
    let whole = batch(0, &[topic("t")]);
    let last = batch(1, &[config("t", "a", Some("1"))]);
    for length in 0..last.len() {
        let bytes = [&whole[..], &last[..length]].concat();
        assert_eq!(only(log_of(bytes)), [row("t", 0, "")], "{length} bytes");
    }
    let mut flipped = last.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(
        only(log_of([whole.clone(), flipped].concat())),
        [row("t", 0, "")]
    );
    let zeros = [whole, last, vec![0; 4096]].concat();
    assert_eq!(only(log_of(zeros)), [row("t", 0, "a=1")]);
}

#[test]
fn damage_and_gaps_before_the_end_leave_no_image_at_all() {
    let first = batch(0, &[topic("t")]);
    let second = batch(1, &[config("t", "a", Some("1"))]);
    let mut flipped = first.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let error = log_of([flipped, second.clone()].concat()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("__cluster_metadata-0/{FIRST}: position 0: ")),
        "{error}"
    );

    let gap = log_of([first.clone(), batch(2, &[topic("u")])].concat()).unwrap_err();
    assert_eq!(gap.reason, "offset 1 is expected, 2 is there");
    let torn = first[..first.len() - 1].to_vec();
    let files = [(FIRST, torn), ("00000000000000000001.log", second.clone())];
    assert!(read(&with_files(&files)).is_err(), "torn, but not the last");
    let missing = read(&with_files(&[("00000000000000000001.log", second)])).unwrap_err();
    assert_eq!(missing.reason, "offsets 0 to 1 are missing before it");
}

#[test]
fn records_that_cannot_be_read_are_refused_and_foreign_ones_are_not() {
    let is_refused = |bytes: Vec<u8>| MetadataRecord::parse(&bytes).is_err();
    let refusal = |bytes: Vec<u8>| MetadataRecord::parse(&bytes).unwrap_err();
    assert!(is_refused(Vec::new()));
    assert!(refusal(vec![2, 2, 0]).contains("frame version 2"));
    let newer = [varint(1), varint(4), varint(1), vec![0; 40]].concat();
    assert!(refusal(newer).contains("a newer Kafka wrote it"));
    assert_eq!(
        MetadataRecord::parse(&record(999, &[&[1, 2, 3]])),
        Ok(MetadataRecord::Other)
    );
    // A name that is longer than the record, one that is null, one that is not text.
    assert!(is_refused(record(2, &[&[0xff, 0xff, 0xff, 0xff, 0x0f]])));
    assert!(is_refused(record(2, &[&[0], &ID])));
    assert!(is_refused(record(2, &[&[2, 0xff], &ID])));
    assert!(is_refused(record(
        2,
        &[&[0xff, 0xff, 0xff, 0xff, 0xff], &ID]
    )));
    // A group's or a client's config.
    let group = record(4, &[&[32], &string("g"), &string("a"), &string("1")]);
    assert_eq!(MetadataRecord::parse(&group), Ok(MetadataRecord::Other));
    // No topic has two thousand million partitions.
    let bytes = batch(0, &[topic("t"), partition(i32::MAX), partition(-1)]);
    assert_eq!(only(log_of(bytes)), [row("t", 0, "")]);
}

#[test]
fn flipped_and_cut_bytes_never_panic() {
    let seed = 0x1a57_0b0e_u64;
    println!("seed {seed}");
    let mut state = seed;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let log = std::fs::read(fixture("log").join(FIRST)).unwrap();
    for _ in 0..300 {
        let mut bytes = log.clone();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(1 + random(log.len()));
        let _ = log_of(bytes);
    }
    // With checksums that are right, the records themselves are reached.
    for _ in 0..2_000 {
        let mut value = config("a-topic", "cleanup.policy", Some("compact"));
        for _ in 0..1 + random(3) {
            let at = random(value.len());
            value[at] = random(256) as u8;
        }
        value.truncate(1 + random(value.len()));
        let _ = MetadataRecord::parse(&value);
    }
}
