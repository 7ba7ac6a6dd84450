//! Compaction of a running broker from the command line: look, clean now, pause, and why not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::directory::{Directory, records};
use crate::support::{Broker, Run, temporary};

const DEADLINE: Duration = Duration::from_secs(30);
/// Segments of one batch.
const SMALL: &str = "internal.segment.bytes=100";

/// A broker and its HTTP address.
pub struct Steered {
    pub broker: Broker,
    pub http: String,
}

impl Steered {
    pub fn start(data: &Path, more: &[&str]) -> Steered {
        let mut args = vec![
            "--http",
            "127.0.0.1:0",
            "--log-level",
            "info,lastword_storage=debug",
            // The cleaner looks when it is asked to.
            "--set",
            "log.cleaner.backoff.ms=3600000",
        ];
        args.extend(more);
        let broker = Broker::start_with(data, &args);
        let http = broker.http();
        Steered { broker, http }
    }

    pub fn topic(&self, name: &str, configs: &[&str]) {
        let mut args = vec!["topic", "create", name, "--compact"];
        args.extend(configs.iter().flat_map(|config| ["-c", config]));
        self.broker.run(&args).ok();
    }

    /// Each pair is a batch, and so a segment where segments are small.
    pub fn produce(&self, topic: &str, pairs: &[&str]) {
        for pair in pairs {
            let line = format!("{pair}\n");
            let args = ["produce", topic, "-K:"];
            self.broker.run_with(&args, &line).ok();
        }
    }

    pub fn compact(&self, args: &[&str]) -> Run {
        let mut all = vec!["compact"];
        all.extend(args);
        all.extend(["--http", &self.http]);
        self.broker.run(&all)
    }

    /// The answer to a GET, headers and all.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).expect("connect");
        let host = &self.http;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receive");
        answer
    }

    /// The words that the metrics count partitions by.
    pub fn words(&self) -> Vec<String> {
        let metrics = self.get("/metrics");
        let words = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix("lastword_compaction_state_partitions{reason=\"")?;
            Some(rest.split('"').next()?.to_owned())
        });
        words.collect()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["--format", "json"]);
        serde_json::from_str(&self.compact(&all).ok()).expect("JSON")
    }

    /// The word and the sentence for a topic's first partition, the same in `--explain`, in the status, as a table and as
    /// JSON, over HTTP, and in the broker's log; the metrics have the word. A sentence may
    /// change between two looks.
    #[track_caller]
    pub fn reason(&self, topic: &str) -> (String, String) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.look(topic) {
                Ok(found) => return found,
                Err(why) => assert!(Instant::now() < deadline, "{why}"),
            }
        }
    }

    fn look(&self, topic: &str) -> Result<(String, String), String> {
        let partition = format!("{topic}:0");
        let name = format!("{topic}-0");
        let status = self.json(&["status", &partition]);
        let status = &status["partitions"][0];
        let text = |name: &str| status[name].as_str().expect("text").to_owned();
        let (word, why) = (text("reason"), text("why"));
        let line = self.compact(&[&partition, "--explain"]).ok();
        let expected = format!("{name}  {word}  {why}");
        let table = self.compact(&["status", &partition]).ok();
        let row = table.lines().nth(1).expect("a row");
        let words: Vec<&str> = row.split_whitespace().take(2).collect();
        let logged = format!("partition={name} reason=\"{word}\"");
        let sample = format!("lastword_compaction_state_partitions{{reason=\"{word}\"}} ");
        let metrics = self.get("/metrics");
        let counted = metrics.lines().find_map(|line| line.strip_prefix(&sample));
        let path = format!("/v1/topics/{topic}/partitions/0/compaction");
        let answer = self.get(&path);
        let body = answer.split_once("\r\n\r\n").map_or("", |it| it.1);
        let answered: Value = serde_json::from_str(body).unwrap_or_default();
        if answered["reason"] != word.as_str() || answered["why"] != why.as_str() {
            Err(format!("GET {path} is not {word}, {why}: {answer}"))
        } else if !line.starts_with(&expected) {
            Err(format!("{line} is not {expected}"))
        } else if words != [name, word.clone()] || !row.ends_with(&why) {
            Err(format!("{table} does not say {word}, {why}"))
        } else if !self.broker.log().contains(&logged) {
            Err(format!("no {logged} in the log"))
        } else if counted.is_none_or(|number| number == "0") {
            Err(format!("{word} is not in the metrics: {counted:?}"))
        } else {
            Ok((word, why))
        }
    }

    #[track_caller]
    pub fn assert_reason(&self, topic: &str, word: &str, why: &str) {
        let expected = (word.to_owned(), why.to_owned());
        assert_eq!(self.reason(topic), expected);
    }
}

#[test]
fn a_topic_is_looked_at_rolled_cleaned_and_seen() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic("prices", &[]);
    let input = "AAPL:191\nMSFT:410\nAAPL:192\n";
    let produce = ["produce", "prices", "-K:"];
    steered.broker.run_with(&produce, input).ok();
    let nothing = "nothing to clean yet: active-segment: rolls in 7 d, or when it is full; \
                   --roll cleans it too\n";
    let said = steered.compact(&["prices", "--dry-run"]).ok();
    assert_eq!(said, format!("prices-0  {nothing}"));
    let said = steered.compact(&["prices", "--wait"]).ok();
    assert_eq!(said, format!("prices-0  {nothing}"));
    let said = steered.compact(&["prices", "--roll", "--wait"]).ok();
    assert!(
        said.starts_with("prices-0  rolled at 3  cleaned 0..3 in "),
        "{said}"
    );
    assert!(said.contains(" ms  3 -> 2 records  "), "{said}");
    let consume = ["consume", "prices", "-e", "-f", "%o %k=%v\\n"];
    let left = steered.broker.run(&consume).ok();
    assert_eq!(left, "1 MSFT=410\n2 AAPL=192\n");
    let status = steered.json(&["status", "prices"]);
    let partition = &status["partitions"][0];
    assert_eq!(partition["counts"]["live_keys"], 2);
    assert_eq!(partition["counts"]["dead_bytes"], 0);
    assert_eq!(partition["last_cleaning"]["removed_records"], 1);
    assert_eq!(partition["request"]["state"], "done");
    let (word, _) = steered.reason("prices");
    assert_eq!(word, "clean");
    let all = steered.compact(&["status"]).ok();
    assert!(all.contains("\nprices-0 "), "{all}");
}

#[test]
fn a_dry_run_tells_segment_by_segment_what_the_cleaning_then_removes() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic(
        "t",
        &[
            SMALL,
            "lastword.compaction.rebatch=false",
            "min.cleanable.dirty.ratio=1",
        ],
    );
    steered.produce("t", &["a:1", "b:1", "a:2", "c:1"]);
    let plan = steered.json(&["t", "--dry-run"]);
    let plan = &plan["partitions"][0];
    let sizes = |document: &Value| {
        let number = |name: &str| document[name].as_u64().expect("number");
        (number("records"), number("bytes"))
    };
    assert_eq!(plan["dead"]["superseded"], 1);
    let dead: Vec<_> = plan["segments"]
        .as_array()
        .expect("segments")
        .iter()
        .map(|segment| segment["dead_records"].clone())
        .collect();
    assert_eq!(dead, [1.into(), 0.into(), 0.into(), Value::Null]);
    let said = steered.compact(&["t", "--dry-run"]).ok();
    assert!(
        said.starts_with("t-0  would remove 1 of 3 records (33 %)  "),
        "{said}"
    );
    let cleaned = steered.json(&["t", "--wait"]);
    let result = &cleaned["partitions"][0]["result"];
    assert_eq!(sizes(&result["before"]), sizes(&plan["before"]));
    assert_eq!(sizes(&result["after"]), sizes(&plan["after"]));
    assert_eq!(result["cleaning"]["dead"], plan["dead"]);
}

#[test]
fn head_and_tail_are_drawn() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic(
        "t",
        &[
            SMALL,
            "lastword.compaction.rebatch=false",
            "min.cleanable.dirty.ratio=1",
        ],
    );
    steered.produce("t", &["a:1", "b:1", "a:2", "c:1"]);
    let map = ["topic", "describe", "t", "--map", "--http", &steered.http];
    let cells = || -> Vec<String> {
        let drawn = steered.broker.run(&map).ok();
        let line = drawn.lines().next().expect("a line");
        assert!(line.starts_with("t-0 |"), "{drawn}");
        line.split('|').map(str::to_owned).collect()
    };
    // As the locale has it.
    let is_of = |cells: &str, marks: &str| {
        !cells.is_empty() && cells.chars().all(|mark| marks.contains(mark))
    };
    // Nothing is clean; the first of three dirty segments is dead; what is active is not known.
    let [_, tail, dirty, active, ..] = &cells()[..] else {
        panic!("{:?}", cells())
    };
    assert_eq!(tail, "");
    let dead = dirty.chars().filter(|mark| ".·".contains(*mark)).count();
    let live = dirty.chars().filter(|mark| "#█".contains(*mark)).count();
    assert!(dead > 0 && live > dead, "{dirty}");
    assert!(is_of(active, "_▁"), "{active}");
    steered.compact(&["t", "--wait"]).ok();
    assert!(is_of(&cells()[1], "#█"), "{:?}", cells());
}

#[test]
fn a_pause_holds_until_it_is_resumed() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic("t", &[SMALL, "min.cleanable.dirty.ratio=1"]);
    steered.produce("t", &["a:1", "a:2", "a:3"]);
    let said = steered.compact(&["pause", "t", "--by", "alice"]).ok();
    assert!(said.starts_with("t-0  paused  by alice since "), "{said}");
    let (word, why) = steered.reason("t");
    assert_eq!(word, "paused");
    assert!(why.ends_with(" UTC, until resumed or restart"), "{why}");
    let refused = steered.compact(&["t", "--wait"]).fails(4);
    assert!(refused.contains("COMPACTION_PAUSED"), "{refused}");
    let said = steered.compact(&["resume", "t"]).ok();
    assert!(said.starts_with("t-0  below-ratio  "), "{said}");
    let said = steered.compact(&["t", "--wait"]).ok();
    assert!(said.contains("  2 -> 1 record  "), "{said}");
}

#[test]
fn what_is_not_there_is_named() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic("t", &[]);
    steered.broker.run(&["topic", "create", "plain"]).ok();
    let said = steered.compact(&["nothing"]).fails(4);
    assert!(said.contains("there is no topic nothing"), "{said}");
    let said = steered.compact(&["t:9", "--explain"]).fails(4);
    assert!(said.contains("there is no partition t-9"), "{said}");
    let said = steered.compact(&["t:x"]).fails(2);
    assert!(said.contains("`x` in `t:x` is no partition"), "{said}");
    let said = steered.compact(&["plain"]).fails(4);
    assert!(said.contains("plain-0 is not compacted"), "{said}");
    let run = crate::support::lastword("", &["compact", "t", "--http", "127.0.0.1:1"], b"");
    let said = run.fails(3);
    assert!(said.contains("cannot reach http://127.0.0.1:1"), "{said}");
    let said = crate::support::lastword("", &["compact"], b"").fails(2);
    assert!(said.contains("what is to be cleaned?"), "{said}");
}

#[test]
fn reasons_of_configs_and_of_what_is_written_read_the_same_everywhere() {
    let data = temporary();
    let steered = Steered::start(data.path(), &[]);
    steered.topic("empty", &[]);
    steered.assert_reason("empty", "clean", "nothing is dirty");
    steered.topic("active", &["segment.ms=10800000"]);
    steered.produce("active", &["a:1"]);
    steered.assert_reason(
        "active",
        "active-segment",
        "rolls in 3 h, or when it is full",
    );
    steered.topic("ratio", &[SMALL, "min.cleanable.dirty.ratio=1"]);
    steered.produce("ratio", &["a:1", "a:2"]);
    steered.assert_reason("ratio", "below-ratio", "dirty 100 % is not above it");
    let said = steered.compact(&["ratio", "--explain"]).ok();
    assert!(said.ends_with("; never due by its ratio\n"), "{said}");
    steered.topic("young", &[SMALL, "min.compaction.lag.ms=86400000"]);
    steered.produce("young", &["a:1", "a:2"]);
    let (word, why) = steered.reason("young");
    assert_eq!(word, "min-lag");
    // It is tomorrow's time.
    assert!(
        why.starts_with("until 20") && why.ends_with(" UTC"),
        "{why}"
    );
    steered.broker.run(&["topic", "create", "plain"]).ok();
    steered.assert_reason("plain", "delete-policy", "cleanup.policy is not compact");
}

#[test]
fn reasons_of_cleaners_that_do_not_work_read_the_same_everywhere() {
    let settings = [
        (
            "log.cleaner.enable=false",
            "disabled",
            "log.cleaner.enable=false",
        ),
        (
            "log.cleaner.threads=0",
            "no-worker",
            "0 of 0 threads run (log.cleaner.threads)",
        ),
    ];
    for (setting, word, why) in settings {
        let data = temporary();
        let steered = Steered::start(data.path(), &["--set", setting]);
        steered.topic("t", &[SMALL, "min.cleanable.dirty.ratio=0"]);
        steered.produce("t", &["a:1", "a:2"]);
        steered.assert_reason("t", word, why);
    }
}

#[test]
fn reasons_of_a_cleaner_that_is_too_slow_read_the_same_everywhere() {
    let data = temporary();
    let slow = [
        "--set",
        "log.cleaner.io.max.bytes.per.second=6",
        "--set",
        "log.cleaner.backoff.ms=10",
    ];
    let steered = Steered::start(data.path(), &slow);
    steered.topic("first", &[SMALL, "min.cleanable.dirty.ratio=0"]);
    steered.produce("first", &["a:1", "a:2"]);
    let word = |topic: &str| {
        let status = steered.json(&["status", topic]);
        status["partitions"][0]["reason"]
            .as_str()
            .expect("a word")
            .to_owned()
    };
    let deadline = Instant::now() + DEADLINE;
    while word("first") != "throttled" {
        assert!(Instant::now() < deadline, "{}", word("first"));
    }
    let (_, why) = steered.reason("first");
    let rate = "; all cleanings together may read and write 6 B/s";
    assert!(why.ends_with(rate), "{why}");
    steered.topic("second", &[SMALL, "min.cleanable.dirty.ratio=0"]);
    steered.produce("second", &["a:1", "a:2"]);
    steered.assert_reason("second", "queued", "place 1 of 1; first-0 being cleaned");
}

#[test]
fn reasons_of_what_is_in_the_way_read_the_same_everywhere() {
    let data = temporary();
    let directory = Directory::open(data.path());
    directory.write("held", 0, &[]);
    directory.write_open_transaction("held", 0);
    directory.write("torn", 0, &[&records("a=1 b=1"), &records("c=1")]);
    directory.close();
    let file = data.path().join("torn-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).expect("a segment");
    let middle = bytes.len() / 2 + 20;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("a segment");
    let steered = Steered::start(data.path(), &[]);
    for topic in ["held", "torn"] {
        let alter = ["topic", "alter", topic, "-s", "cleanup.policy=compact"];
        steered.broker.run(&alter).ok();
    }
    let why = "producer 7 since 2023-11-14 22:13 UTC, from offset 0";
    steered.assert_reason("held", "open-transaction", why);
    let said = steered.compact(&["torn", "--wait"]).fails(1);
    assert!(said.contains("torn-0/00000000000000000000.log"), "{said}");
    let (word, why) = steered.reason("torn");
    assert_eq!(word, "quarantined");
    let begin = "torn-0/00000000000000000000.log is damaged at position 0: ";
    assert!(why.starts_with(begin), "{why}");
}
