//! `lastword compact` on a directory that Kafka has served: its metadata log is Kafka's own (see the fixtures of the
//! broker crate), the partitions beside it are written here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use tempfile::TempDir;

use crate::directory::{Directory, NOW_MS, records, rows, shown};
use crate::support::{Run, lastword, temporary};

/// The cluster has a minimum lag of 22 ms.
const LATER_MS: i64 = NOW_MS + 22;
const MARKER: &str = r#"{"version":0,"brokerEpoch":14}"#;

fn compact(path: &Path, now_ms: i64, more: &[&str]) -> Run {
    let (path, now) = (path.to_str().expect("path"), now_ms.to_string());
    let mut args = vec!["compact", "--data-dir", path, "--now", &now];
    args.extend(more);
    lastword("", &args, b"")
}

/// Topics as Kafka's metadata log describes them, two sealed segments each.
fn kafka_directory() -> TempDir {
    let data = temporary();
    let directory = Directory::open(data.path());
    for topic in ["prices", "visits", "reborn", "switched", "stray"] {
        directory.write(topic, 0, &[&records("a=1 b=1 c=1"), &records("a=2 b")]);
    }
    directory.close();
    let fixture =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../broker/tests/fixtures/kraft/log");
    let metadata = data.path().join("__cluster_metadata-0");
    std::fs::create_dir(&metadata).expect("directory");
    for entry in std::fs::read_dir(fixture).expect("fixture") {
        let entry = entry.expect("fixture");
        std::fs::copy(entry.path(), metadata.join(entry.file_name())).expect("copy");
    }
    std::fs::write(data.path().join(".kafka_cleanshutdown"), MARKER).expect("marker");
    data
}

/// What must stay Kafka's, by name.
fn kafka_files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let inner = std::fs::read_dir(data.join("__cluster_metadata-0")).expect("list");
    let inner = inner.map(|entry| entry.expect("entry").path());
    let own = [
        ".kafka_cleanshutdown",
        "meta.properties",
        "replication-offset-checkpoint",
    ];
    for path in inner.chain(own.map(|name| data.join(name))) {
        let bytes = std::fs::read(&path).expect("file");
        files.insert(path.display().to_string(), bytes);
    }
    files
}

#[test]
fn topics_have_the_configs_of_kafkas_metadata_log_and_kafkas_files_stay_as_they_are() {
    let data = kafka_directory();
    let before = kafka_files(data.path());
    let topics = [
        "-t", "prices", "-t", "visits", "-t", "reborn", "-t", "switched", "-t", "stray",
    ];
    let said = compact(data.path(), NOW_MS + 4_999, &topics).ok();
    for line in [
        "prices-0  5 -> 3 records  ",
        "visits-0  not compacted (cleanup.policy=delete)\n",
        "reborn-0  not compacted (cleanup.policy=delete)\n",
        "stray-0  not compacted (cleanup.policy=delete)\n",
        "switched-0  nothing to clean: every record is younger than min.compaction.lag.ms\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // The tombstone of prices may go 1000 ms after it was first kept; that of switched, 60000 ms, as the cluster says.
    let said = compact(data.path(), NOW_MS + 5_999, &topics).ok();
    assert!(said.contains("prices-0  3 -> 2 records  "), "{said}");
    assert!(said.contains("switched-0  5 -> 3 records  "), "{said}");
    let said = compact(data.path(), NOW_MS + 65_998, &topics).ok();
    assert!(said.contains("switched-0  3 -> 3 records  "), "{said}");
    let said = compact(data.path(), NOW_MS + 65_999, &topics).ok();
    assert!(said.contains("switched-0  3 -> 2 records  "), "{said}");
    assert_eq!(kafka_files(data.path()), before);
    assert_eq!(shown(&rows(data.path(), "prices", 0)), "2 c=1, 3 a=2");
}

#[test]
fn a_setting_wins_over_the_metadata_log() {
    let data = kafka_directory();
    let set = ["-t", "reborn", "--set", "cleanup.policy=compact"];
    let said = compact(data.path(), LATER_MS, &set).ok();
    assert!(said.contains("reborn-0  5 -> 3 records  "), "{said}");
    // A broker's setting is a default only.
    let set = ["-t", "prices", "--set", "log.cleanup.policy=delete"];
    let said = compact(data.path(), LATER_MS, &set).ok();
    assert!(said.contains("prices-0  5 -> 3 records  "), "{said}");
}

#[test]
fn nothing_above_kafkas_high_watermark_is_cleaned() {
    let data = kafka_directory();
    // Offset 4 has not reached the other replicas: the records it covers must stay.
    let file = data.path().join("replication-offset-checkpoint");
    std::fs::write(&file, "0\n1\nprices 0 4\n").expect("checkpoint");
    let said = compact(data.path(), LATER_MS, &["-t", "prices"]).ok();
    assert!(said.contains("prices-0  3 -> 3 records  "), "{said}");
    assert_eq!(rows(data.path(), "prices", 0).len(), 5);
}

#[test]
fn a_partition_without_a_high_watermark_is_left_alone() {
    let data = kafka_directory();
    let file = data.path().join("replication-offset-checkpoint");
    std::fs::write(&file, "0\n1\nvisits 0 5\n").expect("checkpoint");
    let said = compact(data.path(), LATER_MS, &["-t", "prices"]).ok();
    assert!(said.contains("prices-0  nothing to clean: "), "{said}");
    assert_eq!(rows(data.path(), "prices", 0).len(), 5);
}

#[test]
fn an_unreadable_metadata_log_cleans_nothing_that_was_not_asked_for() {
    let data = kafka_directory();
    let file = data
        .path()
        .join("__cluster_metadata-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).expect("log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("log");
    let run = compact(data.path(), LATER_MS, &["-t", "prices"]);
    assert!(
        run.out
            .contains("prices-0  FAILED: its configs are not known: "),
        "{}",
        run.out
    );
    assert!(
        run.fails(1)
            .contains("__cluster_metadata-0/00000000000000000000.log: position ")
    );
    assert_eq!(rows(data.path(), "prices", 0).len(), 5);
    std::fs::write(data.path().join(".kafka_cleanshutdown"), MARKER).expect("marker");
    let set = ["-t", "prices", "--set", "cleanup.policy=compact"];
    let said = compact(data.path(), LATER_MS, &set).ok();
    assert!(said.contains("prices-0  5 -> 3 records  "), "{said}");
}

#[test]
fn a_lock_of_kafkas_kind_is_seen() {
    let data = kafka_directory();
    let lock = std::fs::OpenOptions::new()
        .write(true)
        .open(data.path().join(".lock"));
    let lock = lock.expect("lock file");
    // Java's FileChannel.lock; it keeps out other processes.
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).expect("lock");
    let said = compact(data.path(), NOW_MS, &[]).fails(2);
    assert!(
        said.contains("another process serves this directory"),
        "{said}"
    );
    let marker = std::fs::read_to_string(data.path().join(".kafka_cleanshutdown"));
    assert_eq!(marker.expect("marker"), MARKER, "nothing was touched");
    drop(lock);
    compact(data.path(), NOW_MS, &[]).ok();
}
