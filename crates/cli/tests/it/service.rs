//! `serve` under somebody who starts it: a test that wants a broker of its own, and a service manager.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{command, lastword, temporary};

const DEADLINE: Duration = Duration::from_secs(60);

/// Killed when dropped, if it has not ended.
struct Served(Child);

impl Served {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_ephemeral_broker_says_where_it_is_and_leaves_nothing_behind() {
    let place = temporary();
    let mut child = command(&["serve", "--ephemeral"])
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("serve");
    let stdout = child.stdout.take().expect("stdout");
    let mut served = Served(child);
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let mut after = |prefix: &str| {
        let line = lines.next().expect("a line");
        let value = line.strip_prefix(prefix).map(str::to_owned);
        value.unwrap_or_else(|| panic!("{prefix} before {line}"))
    };
    let (brokers, http) = (after("BROKERS="), after("HTTP="));
    // The lines come when it is ready, so nothing is waited for.
    lastword(&brokers, &["check", "ready", "--http", &http], b"").ok();
    lastword(&brokers, &["topic", "create", "prices", "--compact"], b"").ok();
    lastword(&brokers, &["produce", "prices", "-K:"], b"a:1\n").ok();
    let read = lastword(&brokers, &["consume", "prices", "-e", "-f", "%k=%v\n"], b"").ok();
    assert_eq!(read, "a=1\n");
    let inside: Vec<PathBuf> = std::fs::read_dir(place.path())
        .expect("the place")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(inside.len(), 1, "{inside:?}");
    assert!(inside[0].join("prices-0").is_dir(), "{inside:?}");
    served.signal("-TERM");
    assert_eq!(served.0.wait().expect("ends").code(), Some(0));
    assert!(!inside[0].exists());
}

#[test]
fn a_service_manager_hears_of_loading_readiness_life_and_the_end() {
    let data = temporary();
    let socket = data.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("binds");
    manager
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    let hear = || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    };
    let path = data.path().join("data");
    let path = path.to_str().expect("path");
    let child = command(&[
        "serve",
        "--data",
        path,
        "--listen",
        "127.0.0.1:0",
        "--http",
        "off",
    ])
    .env("NOTIFY_SOCKET", &socket)
    .env("WATCHDOG_USEC", "200000")
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .expect("serve");
    let mut served = Served(child);
    assert_eq!(hear(), format!("STATUS=loading {path}"));
    let ready = hear();
    let start = "READY=1\nSTATUS=serving 0 partitions on 127.0.0.1:";
    assert!(ready.starts_with(start), "{ready}");
    assert_eq!(hear(), "WATCHDOG=1");
    assert_eq!(hear(), "WATCHDOG=1");
    served.signal("-TERM");
    let deadline = Instant::now() + DEADLINE;
    loop {
        match &*hear() {
            "WATCHDOG=1" => assert!(Instant::now() < deadline, "it never said that it stops"),
            stopping => break assert_eq!(stopping, "STOPPING=1\nSTATUS=stopping"),
        }
    }
    assert_eq!(served.0.wait().expect("ends").code(), Some(0));
}
