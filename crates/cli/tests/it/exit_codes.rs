//! Every exit code that the help names, provoked: a script must be able to tell no from wrong from try again.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::support::{Broker, command, temporary};

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill")
        .args([name, &pid])
        .status()
        .expect("kill");
    assert!(sent.success());
}

#[test]
fn zero_is_done_and_a_reader_that_left_is_no_failure() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices"]).ok();
    broker
        .run_with(&["produce", "prices", "-K:"], &"a:1\n".repeat(10_000))
        .ok();
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let status = command(&["consume", "prices", "-e", "-b", &broker.address])
        .stdout(writer)
        .status()
        .expect("consume");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn one_is_the_answer_no() {
    let data = temporary();
    let broker = Broker::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    let err = broker
        .run(&["get", "prices", "nothing", "--http", &broker.http()])
        .fails(1);
    assert!(err.contains("no such key"), "{err}");
    let file = data.path().join("server.properties");
    std::fs::write(&file, "num.partitions=many\n").expect("file");
    broker
        .run(&["config", "check", file.to_str().expect("path")])
        .fails(1);
}

#[test]
fn two_is_wrong_usage_or_a_failure_of_this_machine() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["consume"]).fails(2);
    broker.run(&["no-such-command"]).fails(2);
    broker.run(&["dump", "/no/such/place"]).fails(2);
    // A directory that a running broker has.
    let path = data.path().to_str().expect("path");
    let err = broker
        .run(&[
            "serve",
            "--data",
            path,
            "--listen",
            "127.0.0.1:0",
            "--http",
            "off",
        ])
        .fails(2);
    assert!(
        err.contains("another process serves this directory"),
        "{err}"
    );
    // Nobody was asked, and nobody said yes.
    broker.run(&["topic", "create", "prices"]).ok();
    let err = broker.run(&["topic", "delete", "prices"]).fails(2);
    assert!(err.contains("-y"), "{err}");
    assert!(broker.run(&["topic", "ls"]).ok().contains("prices"));
    broker.run(&["topic", "delete", "prices", "-y"]).ok();
    assert!(!broker.run(&["topic", "ls"]).ok().contains("prices"));
}

#[test]
fn three_is_a_broker_that_is_not_there_or_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("port");
    let silent = nobody.local_addr().expect("address").to_string();
    let run = |args: &[&str]| crate::support::lastword("127.0.0.1:1", args, b"");
    run(&["topic", "ls"]).fails(3);
    run(&["check", "ready", "--http", "127.0.0.1:1"]).fails(3);
    // Connected, because the system does that, and never answered.
    run(&["topic", "ls", "-b", &silent, "--timeout", "1"]).fails(3);
    run(&["check", "ready", "--http", &silent, "--timeout", "1"]).fails(3);
}

#[test]
fn four_is_a_broker_that_refuses_with_kafkas_name() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices"]).ok();
    let err = broker.run(&["topic", "create", "prices"]).fails(4);
    assert!(err.contains("TOPIC_ALREADY_EXISTS"), "{err}");
    let err = broker.run(&["consume", "prises", "-e"]).fails(4);
    assert!(
        err.contains("UNKNOWN_TOPIC_OR_PARTITION") && err.contains("try: prices"),
        "{err}"
    );
}

#[test]
fn a_signal_ends_a_reader_and_stops_a_server_in_order() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices"]).ok();
    broker.run_with(&["produce", "prices", "-K:"], "a:1\n").ok();
    // A shell shows the first two as 130 and 143.
    for (name, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut child = command(&["consume", "prices", "-b", &broker.address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("consume");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("stdout"));
        out.read_line(&mut line).expect("a record");
        signal(&child, name);
        let status = child.wait().expect("wait");
        assert!(
            status.signal() == Some(number) || status.code() == Some(128 + number),
            "{status:?}"
        );
    }
    let (code, _) = broker.terminate();
    assert_eq!(code, Some(0));
}
