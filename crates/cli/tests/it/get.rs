//! `lastword get` beside a running broker.

use crate::check::http_address;
use crate::support::{Broker, temporary};

#[test]
fn the_last_value_of_a_key_is_found_and_a_deleted_or_unknown_one_told_apart() {
    let data = temporary();
    let broker = Broker::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let http = http_address(&broker);
    broker
        .run(&["topic", "create", "prices", "--compact", "-p", "3"])
        .ok();
    let lines = "AAPL:191\nMSFT:410\nAAPL:192\nodd key/%:1\n";
    broker
        .run_with(&["produce", "prices", "-K:", "-H", "h=x"], lines)
        .ok();
    broker.run(&["produce", "prices", "-k", "MSFT", "-Z"]).ok();
    let get = |key: &str, more: &[&str]| {
        broker.run(&[&["get", "prices", key, "--http", &http], more].concat())
    };
    assert_eq!(get("AAPL", &[]).ok(), "192");
    assert_eq!(get("hex:4141504c", &[]).ok(), "192");
    assert_eq!(get("odd key/%", &[]).ok(), "1");
    let run = get("AAPL", &["--meta"]);
    assert!(
        run.err.starts_with("prices-") && run.err.contains("  h: x"),
        "{run:?}"
    );
    let said = get("AAPL", &["--format", "json"]).ok();
    let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&document["value"], &document["deleted"]),
        (&"192".into(), &false.into())
    );
    let said = get("MSFT", &[]).fails(1);
    assert!(said.contains("MSFT was deleted at prices-"), "{said}");
    let said = get("GOOG", &[]).fails(1);
    assert!(said.contains("no such key: GOOG"), "{said}");
    let elsewhere =
        (0..3).filter(|partition| get("AAPL", &["--partition", &partition.to_string()]).code == 1);
    assert_eq!(elsewhere.count(), 2);
    get("AAPL", &["--partition", "7"]).fails(4);
    get("", &[]).fails(1);
    broker
        .run_with(&["produce", "prices", "-K:"], ":none\n")
        .ok();
    assert_eq!(get("", &[]).ok(), "none");
    assert_eq!(get("hex:", &[]).ok(), "none");
    let said = broker
        .run(&["get", "nowhere", "a", "--http", &http])
        .fails(4);
    assert!(said.contains("there is no topic nowhere"), "{said}");
    broker.run(&["topic", "create", "plain"]).ok();
    let said = broker.run(&["get", "plain", "a", "--http", &http]).fails(4);
    assert!(said.contains("not compacted"), "{said}");
}
