//! `lastword verify` on directories that no broker runs on.

use std::path::Path;

use crate::directory::{Directory, NOW_MS, records};
use crate::support::{Run, lastword, temporary};

fn run(command: &str, more: &[&str]) -> Run {
    let mut args = vec![command];
    args.extend(more);
    lastword("", &args, b"")
}

fn verify(old: &Path, new: &Path, more: &[&str]) -> Run {
    let (old, new) = (old.to_str().expect("path"), new.to_str().expect("path"));
    run("verify", &[&[old, new], more].concat())
}

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

/// A directory, and a cleaned copy of it.
fn old_and_new(root: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (old, new) = (root.join("old"), root.join("new"));
    let directory = Directory::open(&old);
    directory.write("prices", 0, &[&records("a=1 b=1 c=1"), &records("a=2 c")]);
    directory.write("prices", 1, &[&records("d=1"), &records("d=2")]);
    directory.close();
    copy(&old, &new);
    let now = NOW_MS.to_string();
    let path = new.to_str().expect("path");
    let set = ["--set", "cleanup.policy=compact", "--now", &now];
    run("compact", &[&["--data-dir", path], &set[..]].concat()).ok();
    (old, new)
}

#[test]
fn a_cleaning_is_right_and_both_directories_stay_as_they_are() {
    let root = temporary();
    let (old, new) = old_and_new(root.path());
    let now = NOW_MS.to_string();
    let said = verify(&old, &new, &["--now", &now]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("prices-0  right  5 -> 3 records  3 keys  gone: 2 superseded  "),
        "{said}"
    );
    assert!(
        lines[1].starts_with("prices-1  right  2 -> 1 records  1 keys"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("2 partitions: 7 records of 4 keys, NEW is a right"),
        "{said}"
    );
    // Two partition directories are as good.
    let said = verify(
        &old.join("prices-0"),
        &new.join("prices-0"),
        &["--now", &now],
    )
    .ok();
    assert!(said.contains("1 partition: 5 records of 3 keys"), "{said}");
    // Nothing was removed from a directory that is compared with itself.
    verify(&new, &new, &["--now", &now]).ok();
}

#[test]
fn the_first_offset_that_breaks_it_is_named_with_exit_code_1() {
    let root = temporary();
    let (old, new) = old_and_new(root.path());
    // The other way round: what was cleaned away is invented.
    let run = verify(&new, &old, &["--topic", "prices:0", "--format", "json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(document["verified"], false);
    let first = &document["partitions"][0]["violations"][0];
    assert_eq!(
        (&first["offset"], &first["kind"]),
        (&0.into(), &"invented".into())
    );
    std::fs::remove_dir_all(new.join("prices-1")).expect("remove");
    let run = verify(&old, &new, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out
            .contains("prices-1  BROKEN at offset 0: NEW has no such partition"),
        "{run:?}"
    );
    assert!(run.err.contains("prices-1 at offset 0"), "{run:?}");
}

#[test]
fn what_cannot_be_compared_is_refused_with_exit_code_2() {
    let root = temporary();
    let (old, new) = old_and_new(root.path());
    for (old, new, more, expected) in [
        (
            old.clone(),
            root.path().join("nowhere"),
            vec![],
            "cannot open the directory",
        ),
        (
            old.clone(),
            new.join("prices-0"),
            vec![],
            "cannot be compared with a log directory",
        ),
        (
            old.clone(),
            new.clone(),
            vec!["--topic", "price"],
            "there is no topic price",
        ),
        (
            old.clone(),
            new.clone(),
            vec!["--set", "cleanup.polcy=x"],
            "unknown setting",
        ),
    ] {
        let run = verify(&old, &new, &more);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(expected), "{run:?}");
    }
    let open = Directory::open(&new);
    let run = verify(&old, &new, &[]);
    assert!(
        run.code == 2 && run.err.contains("another process"),
        "{run:?}"
    );
    open.close();
}
