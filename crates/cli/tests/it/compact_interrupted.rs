//! `lastword compact` that does not come to its end.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::directory::{Directory, NOW_MS, Row, rows};
use crate::support::{Run, command, lastword, temporary};

const DEADLINE: Duration = Duration::from_secs(60);
const TOPICS: [&str; 2] = ["first", "second"];
const KEYS: u64 = 60;

/// xorshift: the seed is printed, and says all.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Two logs of updates and tombstones in many segments.
fn filled(seed: u64) -> TempDir {
    let data = temporary();
    let directory = Directory::open(data.path());
    let mut random = Random(seed);
    for topic in TOPICS {
        let segments: Vec<Vec<String>> = (0..12)
            .map(|segment| {
                let record = |number| match (random.below(KEYS), random.below(8)) {
                    (key, 0) => format!("k{key}"),
                    (key, _) => format!("k{key}={segment}.{number}{}", "x".repeat(100)),
                };
                (0..150).map(record).collect()
            })
            .collect();
        let segments: Vec<&[String]> = segments.iter().map(Vec::as_slice).collect();
        directory.write(topic, 0, &segments);
    }
    directory.close();
    data
}

fn args(path: &Path, throttle: Option<&str>) -> Vec<String> {
    let path = path.to_str().expect("path");
    let now = NOW_MS.to_string();
    let mut args = vec!["compact", "--data-dir", path, "--now", &now];
    // Small outputs, so that there are many swaps.
    args.extend([
        "--set",
        "cleanup.policy=compact",
        "--set",
        "internal.segment.bytes=4000",
    ]);
    let throttle = throttle.map(|rate| format!("log.cleaner.io.max.bytes.per.second={rate}"));
    if let Some(throttle) = &throttle {
        args.extend(["--set", throttle]);
    }
    args.into_iter().map(str::to_owned).collect()
}

fn compact(path: &Path) -> Run {
    let args = args(path, None);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    lastword("", &args, b"")
}

fn spawn(path: &Path, throttle: &str) -> Child {
    let args = args(path, Some(throttle));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(&args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("compact")
}

fn all_rows(path: &Path) -> Vec<Vec<Row>> {
    TOPICS.iter().map(|topic| rows(path, topic, 0)).collect()
}

/// What a run that nobody stops leaves of the same input.
fn uninterrupted(seed: u64) -> Vec<Vec<Row>> {
    let data = filled(seed);
    compact(data.path()).ok();
    let all = all_rows(data.path());
    assert!(
        all.iter().all(|rows| rows.len() as u64 <= KEYS),
        "it does clean"
    );
    all
}

/// Files that only a cleaning makes and that must not outlive it.
fn leftovers(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for topic in TOPICS {
        let entries = std::fs::read_dir(path.join(format!("{topic}-0"))).expect("list");
        for entry in entries {
            let name = entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("name");
            if [".cleaned", ".swap", ".deleted", ".replace", ".tmp"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
            {
                found.push(name);
            }
        }
    }
    found
}

/// Waits for the end; the exit code, and what was said.
fn end(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + DEADLINE;
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut said)
        .expect("text");
    let status = child.wait().expect("wait");
    assert!(Instant::now() < deadline, "it did not end in time");
    (status.code(), said)
}

#[test]
fn a_signal_stops_it_in_order_and_the_next_run_goes_on() {
    for signal in ["-INT", "-TERM"] {
        let seed = 0x0ff1_14e5_u64;
        let expected = uninterrupted(seed);
        let data = filled(seed);
        let mut child = spawn(data.path(), "200000");
        // The second log is being cleaned when the first is done.
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let first = lines.next().expect("a line").expect("text");
        assert!(first.starts_with("first-0  1800 -> "), "{first}");
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        let (code, said) = end(child);
        assert_eq!(code, Some(130), "{said}");
        for line in [
            "stopping at the next batch, then closing the directory\n",
            "error: interrupted: 1 of 2 logs done\n",
            "  why: nothing is lost: ",
            "  try: run the same command again to go on\n",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
        assert!(
            data.path().join(".kafka_cleanshutdown").exists(),
            "closed in order"
        );
        assert_eq!(leftovers(data.path()), [""; 0]);
        compact(data.path()).ok();
        assert_eq!(all_rows(data.path()), expected);
    }
}

#[test]
fn killed_at_any_moment_the_next_run_comes_to_the_same_records() {
    let seed = 0x5eed_0009_u64;
    println!("seed {seed}");
    let mut random = Random(seed);
    let expected = uninterrupted(seed);
    let data = filled(seed);
    let (mut killed, mut torn) = (0, 0);
    for _ in 0..12 {
        let mut child = spawn(data.path(), "400000");
        let moment = Instant::now() + Duration::from_millis(random.below(1_500));
        while Instant::now() < moment && child.try_wait().expect("status").is_none() {
            std::thread::yield_now();
        }
        killed += u32::from(child.try_wait().expect("status").is_none());
        child.kill().expect("kill");
        child.wait().expect("wait");
        torn += u32::from(!leftovers(data.path()).is_empty());
        // Sometimes another program opens it first.
        if random.below(3) == 0 {
            assert_eq!(folds(&all_rows(data.path())), folds(&expected));
            assert_eq!(leftovers(data.path()), [""; 0]);
        }
    }
    println!("killed {killed} times, {torn} times in the middle of a rewrite");
    assert!(killed > 0 && torn > 0, "killed {killed}, torn {torn}");
    compact(data.path()).ok();
    assert_eq!(all_rows(data.path()), expected);
    assert_eq!(leftovers(data.path()), [""; 0]);
}

/// The last value of every key that has one.
fn folds(all: &[Vec<Row>]) -> Vec<std::collections::BTreeMap<String, String>> {
    let fold = |rows: &Vec<Row>| {
        let mut map = std::collections::BTreeMap::new();
        for (_, key, value) in rows {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        map
    };
    all.iter().map(fold).collect()
}
