use super::*;
use crate::dir::{CrashModel, SimDir};

fn offsets(entries: &[(&str, i32, i64)]) -> BTreeMap<TopicPartition, i64> {
    let entry = |&(topic, partition, offset): &(&str, i32, i64)| {
        (
            TopicPartition {
                topic: topic.into(),
                partition,
            },
            offset,
        )
    };
    entries.iter().map(entry).collect()
}

#[test]
fn a_checkpoint_has_kafkas_bytes() {
    let offsets = offsets(&[("orders", 1, 7), ("orders", 0, 42)]);
    assert_eq!(format_offsets(&offsets), "0\n2\norders 0 42\norders 1 7\n");
    assert_eq!(
        parse_offsets("c", format_offsets(&offsets).as_bytes()).unwrap(),
        offsets
    );
}

#[test]
fn white_space_is_free_and_an_empty_file_has_no_entries() {
    let text = "0\n2\n  orders\t0   42  \r\norders 1 -1\n";
    assert_eq!(
        parse_offsets("c", text.as_bytes()).unwrap(),
        offsets(&[("orders", 0, 42), ("orders", 1, -1)])
    );
    assert!(parse_offsets("c", b"").unwrap().is_empty());
    assert!(parse_offsets("c", b"0\n0\n").unwrap().is_empty());
}

#[test]
fn half_a_checkpoint_is_never_used() {
    for (text, line) in [
        ("1\n0\n", 1),
        ("x\n0\n", 1),
        ("\n", 1),
        ("0\n", 2),
        ("0\nx\n", 2),
        ("0\n-1\n", 2),
        ("0\n2\na 0 1\n", 2),
        ("0\n1\na 0 1\na 1 1\n", 2),
        ("0\n1\na 0\n", 3),
        ("0\n1\na 0 1 2\n", 3),
        ("0\n1\n\n", 3),
        ("0\n1\na x 1\n", 3),
        ("0\n1\na 0 9223372036854775808\n", 3),
    ] {
        match parse_offsets("c", text.as_bytes()) {
            Err(StorageError::CorruptCheckpoint { line: found, .. }) => {
                assert_eq!(found, line, "{text:?}");
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
    assert!(parse_offsets("c", b"0\n1\n\xFF 0 1\n").is_err());
}

#[test]
fn a_crash_leaves_the_old_checkpoint_or_the_new_one() {
    let (old, new) = (
        offsets(&[("a", 0, 1)]),
        offsets(&[("a", 0, 2), ("b", 0, 3)]),
    );
    let write = |dir: &SimDir, offsets| OffsetCheckpointFile::write(dir, "c", offsets);
    let total = {
        let dir = SimDir::new();
        write(&dir, &old).unwrap();
        let before = dir.operation_count();
        write(&dir, &new).unwrap();
        dir.operation_count() - before
    };
    for operations in 0..=total {
        for model in CrashModel::ALL {
            for seed in 0..20 {
                let dir = SimDir::new();
                write(&dir, &old).unwrap();
                dir.crash_after(operations);
                let done = write(&dir, &new).is_ok();
                let survivor = dir.crash(model, seed);
                let read = OffsetCheckpointFile::read(&survivor, "c").unwrap();
                let context = format!("operations {operations}, {model:?}, seed {seed}");
                assert!(
                    read == new || !done && read == old,
                    "{context}: {:?}",
                    dir.trace()
                );
            }
        }
    }
}

#[test]
fn leader_epochs_follow_the_same_rules() {
    let dir = SimDir::new();
    dir.create_dir("a-0").unwrap();
    assert_eq!(LeaderEpochCheckpointFile::read(&dir, "a-0").unwrap(), []);
    LeaderEpochCheckpointFile::write(&dir, "a-0", &[(0, 0), (5, 100)]).unwrap();
    let bytes = dir::read_file(&dir, "a-0/leader-epoch-checkpoint").unwrap();
    assert_eq!(bytes, b"0\n2\n0 0\n5 100\n");
    assert_eq!(
        LeaderEpochCheckpointFile::read(&dir, "a-0").unwrap(),
        [(0, 0), (5, 100)]
    );
}
