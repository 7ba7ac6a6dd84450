//! SIGTERM while producers write as fast as they can: what was acknowledged is there after the next start.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{Broker, command, temporary};

const PRODUCERS: usize = 3;
/// Acknowledged records of all producers before the signal.
const BEFORE: usize = 20_000;
const DEADLINE: Duration = Duration::from_secs(60);

/// A producer that writes until its broker is gone, and says each acknowledged record: partition, offset, key.
fn produce(broker: &Broker, name: usize, said: Sender<String>) -> (Child, [JoinHandle<()>; 2]) {
    let args = [
        "produce",
        "load",
        "-K:",
        "-o",
        "%p %o %k\\n",
        "-b",
        &broker.address,
    ];
    let mut child = command(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("produce");
    let mut stdin = child.stdin.take().expect("stdin");
    let stdout = child.stdout.take().expect("stdout");
    let writing = std::thread::spawn(move || {
        let mut number = 0_u64;
        while writeln!(stdin, "{name}-{number}:{number}").is_ok() {
            number += 1;
        }
    });
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    (child, [writing, reading])
}

#[test]
fn a_broker_stopped_under_load_ends_with_0_and_loses_nothing_it_acknowledged() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "load", "-p", "3"]).ok();
    let (said, acknowledged) = channel();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|name| produce(&broker, name, said.clone()))
        .collect();
    drop(said);
    let deadline = Instant::now() + DEADLINE;
    let mut known = Vec::new();
    while known.len() < BEFORE {
        let left = deadline.saturating_duration_since(Instant::now());
        known.push(
            acknowledged
                .recv_timeout(left)
                .expect("an acknowledged record"),
        );
    }
    let (code, block) = broker.terminate();
    assert_eq!(code, Some(0));
    assert!(
        block.iter().any(|line| line.contains("stopped in")),
        "{block:?}"
    );
    for (mut child, threads) in producers {
        assert_eq!(child.wait().expect("wait").code(), Some(3));
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("thread"));
    }
    known.extend(acknowledged);
    let broker = Broker::start(data.path());
    let there = broker
        .run(&["consume", "load", "-e", "-f", "%p %o %k\\n"])
        .ok();
    let there: HashSet<&str> = there.lines().collect();
    let lost: Vec<&String> = known
        .iter()
        .filter(|line| !there.contains(line.as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {:?}",
        lost.len(),
        known.len(),
        lost.first()
    );
    println!(
        "{} acknowledged, {} there, {:?}",
        known.len(),
        there.len(),
        block.last()
    );
}
