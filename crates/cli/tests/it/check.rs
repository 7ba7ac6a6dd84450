use std::net::TcpListener;

use crate::support::{Broker, lastword, temporary};

/// The address in the line `http    http://ADDRESS ...` of the ready block.
pub fn http_address(broker: &Broker) -> String {
    let line = broker
        .ready_block
        .iter()
        .find_map(|line| line.trim().strip_prefix("http "));
    let url = line
        .and_then(|line| line.split_whitespace().next())
        .expect("a line for http");
    url.strip_prefix("http://").expect("a URL").to_owned()
}

#[test]
fn check_says_yes_while_a_broker_serves_and_cannot_reach_it_afterwards() {
    let data = temporary();
    let broker = Broker::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let http = http_address(&broker);
    for (what, word) in [("ready", "ready\n"), ("live", "live\n")] {
        assert_eq!(broker.run(&["check", what, "--http", &http]).ok(), word);
    }
    let json = broker
        .run(&["check", "ready", "--http", &http, "--format", "json"])
        .ok();
    assert!(
        json.starts_with('{') && json.contains("\"status\":\"ready\""),
        "{json}"
    );
    let (code, _) = broker.terminate();
    assert_eq!(code, Some(0));
    let said = lastword("", &["check", "ready", "--http", &http], b"").fails(3);
    assert!(
        said.contains(&format!("cannot reach http://{http}")),
        "{said}"
    );
}

#[test]
fn an_http_port_in_use_is_refused_if_it_was_named() {
    let data = temporary();
    let path = data.path().to_str().expect("path");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("address").to_string();
    let args = [
        "serve",
        "--data",
        path,
        "--listen",
        "127.0.0.1:0",
        "--http",
        &address,
    ];
    let said = lastword("", &args, b"").fails(2);
    assert!(
        said.contains(&format!("error: cannot listen on {address}")),
        "{said}"
    );
    assert!(said.contains("--http 127.0.0.1:PORT"), "{said}");
}

#[test]
fn a_default_http_port_in_use_does_not_keep_the_broker_from_starting() {
    let data = temporary();
    // Whoever has it: this test, or a broker that runs on this machine.
    let _taken = TcpListener::bind("127.0.0.1:9644");
    let broker = Broker::start_with(data.path(), &["--http-default"]);
    let line = broker
        .ready_block
        .iter()
        .find(|line| line.trim().starts_with("http "));
    let line = line.expect("a line for http");
    assert!(
        line.contains("off: another process has 127.0.0.1:9644"),
        "{line}"
    );
    assert_eq!(
        broker.run(&["topic", "create", "a"]).ok(),
        "a  created  1 partition\n"
    );
}

#[test]
fn what_answers_but_is_no_broker_is_told_apart_from_nobody() {
    let data = temporary();
    let broker = Broker::start(data.path());
    let args = [
        "check",
        "ready",
        "--http",
        &broker.address,
        "--timeout",
        "5",
    ];
    lastword("", &args, b"").fails(3);
    let wrong = lastword("", &["check", "ready", "--http", "nowhere"], b"").fails(2);
    assert!(wrong.contains("`nowhere` is no HTTP address"), "{wrong}");
}
