//! Reasons of disks: one that is full, and one that does not answer. And that each word of the closed list was provoked.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::directory::{Directory, records};
use crate::steering::Steered;
use crate::support::{Broker, command, temporary};

const DEADLINE: Duration = Duration::from_secs(30);

/// Root or not, a process can have file systems of its own.
fn unshare() -> Command {
    let of_root = Command::new("unshare").args(["--mount", "true"]).output();
    let mut command = Command::new("unshare");
    if !of_root.is_ok_and(|output| output.status.success()) {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount");
    command
}

/// `lastword serve` on a copy of a directory in a file system of this size, which nobody else sees.
fn serve_in_small_room(data: &Path, room: &Path, size: &str, more: &[&str]) -> Steered {
    let text = |path: &Path| path.to_str().expect("path").to_owned();
    let (data, room) = (text(data), text(room));
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs {room} && cp -a {data}/. {room} && exec \"$@\""
    );
    let mut args = vec!["serve", "--data", &room, "--listen", "127.0.0.1:0"];
    args.extend(["--http", "127.0.0.1:0"]);
    args.extend(more);
    let serve = command(&args);
    let mut wrapped = unshare();
    wrapped.args(["sh", "-c", &script, "sh"]);
    wrapped.arg(serve.get_program()).args(serve.get_args());
    wrapped.env_remove("LASTWORD_LOG").env_remove("RUST_LOG");
    wrapped.env("NO_COLOR", "1");
    let broker = Broker::spawned(wrapped);
    let http = broker.http();
    Steered { broker, http }
}

/// A lease of the kernel on a file that nobody has open: who opens it waits until it is given back.
struct Lease(Child);

impl Lease {
    fn on(path: &Path) -> Lease {
        // F_SETLEASE, F_WRLCK; the holder is told by a signal that somebody waits.
        let script = "$SIG{IO} = 'IGNORE'; open(F, '+<', $ARGV[0]) or die; fcntl(F, 1024, 1) or die \"$!\"; \
                      $| = 1; print \"held\\n\"; <STDIN>";
        let mut perl = Command::new("perl");
        perl.args(["-e", script]).arg(path);
        let child = perl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut lease = Lease(child.expect("perl"));
        let mut said = String::new();
        let stdout = lease.0.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut said).expect("a line");
        assert_eq!(said, "held\n");
        lease
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_disk_reads_the_same_everywhere() {
    let (data, room) = (temporary(), temporary());
    let directory = Directory::open(data.path());
    let value = "x".repeat(10_000);
    let large: Vec<String> = (0..150).map(|key| format!("key{key}={value}")).collect();
    let segment = [large, records("key0=1")].concat();
    directory.write("full", 0, &[&segment]);
    directory.close();
    // Its segment has 1.5 MB, and all but one record of it live.
    let settings = [
        "--set",
        "log.cleaner.backoff.ms=3600000",
        "--log-level",
        "info,lastword_storage=debug",
    ];
    let steered = serve_in_small_room(data.path(), room.path(), "2500k", &settings);
    let alter = ["topic", "alter", "full", "-s", "cleanup.policy=compact"];
    steered.broker.run(&alter).ok();
    steered.compact(&["full", "--wait"]).fails(1);
    let (word, why) = steered.reason("full");
    assert_eq!(word, "no-disk");
    assert!(why.starts_with("needs up to 1.4 MiB, has "), "{why}");
    assert!(why.contains("B; next try "), "{why}");
    let metrics = steered.get("/metrics");
    let stuck = |line: &str| {
        line.starts_with("lastword_compaction_stuck{") && line.contains("reason=\"no-disk\"")
    };
    assert!(metrics.lines().any(stuck), "{metrics}");
}

#[test]
fn running_reads_the_same_everywhere() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    let configs = ["internal.segment.bytes=100", "min.cleanable.dirty.ratio=1"];
    steered.topic("t", &configs);
    steered.produce("t", &["a:1", "a:2", "a:3"]);
    steered.json(&["t", "--dry-run"]);
    // Whoever opens the key index waits: a disk that does not answer.
    let disk = Lease::on(&data.path().join("t-0/00000000000000000000.keyindex"));
    steered.compact(&["t"]).ok();
    let (word, why) = steered.reason("t");
    assert_eq!(word, "running");
    assert!(why.starts_with("since ") && why.contains(" UTC: "), "{why}");
    disk.end();
    let deadline = Instant::now() + DEADLINE;
    while steered.reason("t").0 != "active-segment" {
        assert!(Instant::now() < deadline, "{:?}", steered.reason("t"));
    }
}

#[test]
fn every_word_of_the_closed_list_is_provoked_on_a_broker() {
    let data = temporary();
    let words = Steered::start(data.path(), &[]).words();
    assert_eq!(words.len(), 14, "{words:?}");
    let tests = concat!(include_str!("steering.rs"), include_str!("obstacles.rs"));
    for word in words {
        let is_there = tests.contains(&format!("\"{word}\""));
        assert!(is_there, "{word} is not provoked");
    }
}
