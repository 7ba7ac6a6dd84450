//! `lastword verify OLD TOPIC -b`: a copy of a directory against what a broker serves.

use std::path::Path;

use crate::steering::Steered;
use crate::support::{Broker, Run, lastword, temporary};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create");
    for entry in std::fs::read_dir(from).expect("list") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copy")),
        }
    }
}

fn verify(broker: &Broker, old: &Path, topic: &str) -> Run {
    let old = old.to_str().expect("path");
    let args = ["verify", old, topic, "-b", &broker.address];
    lastword("", &args, b"")
}

/// A broker with a topic of small segments, stopped; a copy of its directory; and the broker again.
fn copied_and_served(data: &Path, old: &Path, pairs: &[&str]) -> Steered {
    let steered = Steered::start(data, &[]);
    let configs = ["internal.segment.bytes=100", "min.cleanable.dirty.ratio=1"];
    steered.topic("t", &configs);
    steered.produce("t", pairs);
    assert_eq!(steered.broker.terminate().0, Some(0));
    copy(data, old);
    Steered::start(data, &[])
}

#[test]
fn a_cleaning_of_a_running_topic_is_right_though_it_was_written_to_meanwhile() {
    let root = temporary();
    let (data, old) = (root.path().join("data"), root.path().join("old"));
    let steered = copied_and_served(&data, &old, &["a:1", "b:1", "a:2", "c:1"]);
    // `b` and `c` are replaced by what the copy does not have.
    steered.produce("t", &["b:2", "c:2", "d:1"]);
    let said = verify(&steered.broker, &old, "t").ok();
    assert!(said.starts_with("t-0  right  7 -> 7 records"), "{said}");
    steered.compact(&["t", "--roll", "--wait"]).ok();
    let said = verify(&steered.broker, &old, "t:0").ok();
    let right = "t-0  right  7 -> 4 records  4 keys  gone: 3 superseded  ";
    assert!(said.starts_with(right), "{said}");
    // A partition directory is enough.
    let said = verify(&steered.broker, &old.join("t-0"), "t").ok();
    assert!(said.starts_with(right), "{said}");
}

#[test]
fn what_a_running_topic_has_lost_is_named() {
    let root = temporary();
    let (data, old) = (root.path().join("data"), root.path().join("old"));
    let steered = copied_and_served(&data, &old, &["a:1", "b:1", "a:2", "c:1"]);
    steered.broker.run(&["topic", "delete", "t", "--yes"]).ok();
    steered.topic("t", &[]);
    steered.produce("t", &["a:1", "x:1", "a:2", "c:1"]);
    let run = verify(&steered.broker, &old, "t");
    assert!(
        run.out
            .contains("t-0  BROKEN at offset 0: its timestamp is not that of OLD"),
        "{run:?}"
    );
    let said = run.fails(1);
    assert!(said.contains("t is no right cleaning of "), "{said}");
    let said = verify(&steered.broker, &old, "nothing").fails(4);
    assert!(said.contains("nothing"), "{said}");
    let said = lastword("", &["verify", "x", "t", "-b", "127.0.0.1:1"], b"").fails(2);
    assert!(said.contains("error: "), "{said}");
}
