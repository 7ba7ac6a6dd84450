//! `lastword dump` of whatever lies in a partition directory.

use std::path::Path;

use crate::directory::{Directory, NOW_MS, records};
use crate::support::{Run, lastword, temporary};

fn dump(path: &Path, more: &[&str]) -> Run {
    let path = path.to_str().expect("path");
    lastword("", &[&["dump", path], more].concat(), b"")
}

fn cleaned(path: &Path) {
    let directory = Directory::open(path);
    directory.write("prices", 0, &[&records("a=1 b=1 c=1"), &records("a=2 c")]);
    directory.close();
    let (path, now) = (path.to_str().expect("path"), NOW_MS.to_string());
    let args = [
        "compact",
        "--data-dir",
        path,
        "--now",
        &now,
        "--set",
        "cleanup.policy=compact",
    ];
    lastword("", &args, b"").ok();
    // The key index of what is left is built for the next plan.
    lastword("", &[&args[..], &["--dry-run"]].concat(), b"").ok();
}

#[test]
fn every_file_of_a_partition_is_shown_as_lines_and_as_json() {
    let data = temporary();
    cleaned(data.path());
    let partition = data.path().join("prices-0");
    let said = dump(&partition, &["--records"]).ok();
    for part in [
        "offsets 3..4  count 2",
        "deleteHorizon ",
        "offset 3  timestamp ",
        "key \"a\"  value \"2\"",
        "key \"c\"  value null",
        ".keyindex",
        "tombstone",
        ".timeindex",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = dump(&partition, &["--records", "--format", "json"]).ok();
    let lines = said
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    assert!(
        lines.filter(|line| line["tombstone"] == true).count() >= 2,
        "{said}"
    );
}

#[test]
fn hostile_bytes_are_damage_and_never_a_panic() {
    let data = temporary();
    cleaned(data.path());
    let partition = data.path().join("prices-0");
    let mut state = 7u64;
    for entry in std::fs::read_dir(&partition).expect("list") {
        let path = entry.expect("entry").path();
        let good = std::fs::read(&path).expect("read");
        if dump(&path, &[]).code == 2 {
            continue;
        }
        for round in 0..6 {
            let mut bad = good.clone();
            bad.resize(bad.len() + round % 3, 0xa5);
            for _ in 0..1 + round {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                if let Some(at) = (state >> 33).checked_rem(bad.len() as u64) {
                    bad[at as usize] ^= (state >> 20) as u8 | 1;
                }
            }
            std::fs::write(&path, &bad).expect("write");
            let run = dump(&path, &["--records"]);
            assert!(
                run.code <= 1 && !run.err.contains("panicked"),
                "{}: {run:?}",
                path.display()
            );
        }
        std::fs::write(&path, &good).expect("write");
    }
    dump(&data.path().join("meta.properties"), &[]).fails(2);
    dump(data.path(), &[]).fails(2);
}
