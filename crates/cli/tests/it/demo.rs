//! `lastword demo`, as somebody runs it who has nothing but the binary.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::{command, lastword, temporary};

fn start(scratch: &Path, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = command(&["demo"])
        .args(args)
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("demo");
    let out = BufReader::new(child.stdout.take().expect("stdout"));
    (child, out)
}

/// SIGINT; the exit code and standard error.
fn interrupt(mut child: Child) -> (Option<i32>, String) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill").success());
    let mut err = String::new();
    let stderr = child.stderr.as_mut().expect("stderr");
    stderr.read_to_string(&mut err).expect("text");
    (child.wait().expect("wait").code(), err)
}

#[test]
fn the_demo_restores_a_year_of_flights_from_the_topic_and_from_its_state_view() {
    let scratch = temporary();
    let (child, mut out) = start(scratch.path(), &["--fast", "--keep", "--format", "json"]);
    let mut line = String::new();
    out.read_line(&mut line).expect("a document");
    let story: Value = serde_json::from_str(&line).expect("JSON");
    crate::schema::holds("demo", &story);
    assert_eq!(story["data"]["licence"], "CC0-1.0");
    assert_eq!(story["written"]["records"], 336_776);
    assert_eq!(story["written"]["tombstones"], 8_255);
    assert_eq!(story["written"]["keys"], 5_725);
    assert_eq!(story["same_state"], true);
    let restores = story["restores"].as_array().expect("restores");
    assert_eq!(restores.len(), 3);
    assert!(restores.iter().all(|it| it["keys"] == 5_592), "{line}");
    let bytes: Vec<u64> = restores
        .iter()
        .filter_map(|it| it["bytes"].as_u64())
        .collect();
    // A quarter of the year is head; the view costs what lives, and so does the topic once it is clean.
    assert!(bytes[0] > 5 * bytes[1], "{line}");
    assert!(10 * bytes[1] < 11 * bytes[2], "{line}");
    assert_eq!(story["compacted"]["records_after"], 5_725);
    assert!(story["cleanings"].as_u64() > Some(1), "{line}");
    // It serves on, and the other commands work on it.
    let at = |name: &str| story[name].as_str().expect("an address").to_owned();
    let (brokers, http) = (at("brokers"), at("http"));
    let found = lastword(
        &brokers,
        &["get", "flights", "UA1545", "--http", &http],
        b"",
    )
    .ok();
    assert_eq!(Value::String(found), story["lookup"]["value"]);
    let state = ["consume", "flights@state", "-e", "-f", "%k\\n"];
    assert_eq!(lastword(&brokers, &state, b"").ok().lines().count(), 5_725);
    assert_eq!(interrupt(child), (Some(0), String::new()));
    assert_eq!(
        std::fs::read_dir(scratch.path())
            .expect("directory")
            .count(),
        0
    );
}

#[test]
fn an_interrupted_demo_leaves_no_data_behind() {
    let scratch = temporary();
    let (child, mut out) = start(scratch.path(), &["--speed", "10m"]);
    let mut said = String::new();
    while !said.contains("2013-01-01  500 flights") {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
    assert_eq!(
        std::fs::read_dir(scratch.path())
            .expect("directory")
            .count(),
        1
    );
    let (code, err) = interrupt(child);
    assert_eq!(
        (code, err.as_str()),
        (Some(130), "error: stopped before its end\n")
    );
    assert_eq!(
        std::fs::read_dir(scratch.path())
            .expect("directory")
            .count(),
        0
    );
}
