//! The README's tour: its commands are taken from README.md and run, and what they print is compared with what the reader is
//! told to see. Only ports, times, dates and the cluster's id may be others.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{command, temporary};

const SECTION: &str = "## Seven commands";

/// A command and the lines below it.
#[derive(Debug)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).expect("README.md")
}

/// What stands after `$ ` in the console blocks of the section, each with what follows.
fn steps(readme: &str) -> Vec<Step> {
    let section = readme.split(SECTION).nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in section.lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if is_console && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if is_console {
            let step = steps.last_mut().expect("a command before its output");
            step.output.push(line.to_owned());
        }
    }
    steps
}

/// Whether the line is the one that was promised. Numbers before a unit of time, dates, times and what comes after
/// `cluster` are its own.
fn is_as_told(told: &str, printed: &str) -> bool {
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let (told, printed) = (words(told), words(printed));
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let shape = |word: &str| -> String {
        word.chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect()
    };
    let is_moment = |word: &str| word.matches(['-', ':']).count() > 0 && !word.contains('.');
    let is_instant = |word: &str| word.contains('T') && word.contains("Z");
    told.len() == printed.len()
        && told
            .iter()
            .zip(&printed)
            .enumerate()
            .all(|(at, (told_word, word))| {
                let next = told.get(at + 1).map_or("", String::as_str);
                let is_cluster = at > 0 && told[at - 1] == "cluster";
                let is_time = ["ms", "s.", "s"].contains(&next) && is_number(word);
                let is_date = is_moment(word) || is_instant(word);
                told_word == word
                    || is_cluster
                    || (is_time && is_number(told_word))
                    || (is_date && shape(told_word) == shape(word))
            })
}

#[track_caller]
fn compare(step: &Step, printed: &str) {
    let printed: Vec<&str> = printed.lines().collect();
    let same = step.output.len() == printed.len()
        && step
            .output
            .iter()
            .zip(&printed)
            .all(|(told, line)| is_as_told(told, line));
    assert!(
        same,
        "$ {}\ntold: {:#?}\nprinted: {printed:#?}",
        step.command, step.output
    );
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `lastword serve` on free ports; its block with the ports that the README has, and its addresses.
fn serve(step: &Step, place: &Path) -> (Server, String, String, String) {
    let args: Vec<&str> = step.command.split_whitespace().skip(1).collect();
    let mut child = command(&args)
        .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .current_dir(place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("serve");
    let out = BufReader::new(child.stdout.take().expect("stdout"));
    let server = Server(child);
    let mut block = String::new();
    for line in out.lines() {
        let line = line.expect("text");
        block.push_str(&line);
        block.push('\n');
        if line.contains("ready in") {
            break;
        }
    }
    let word_after = |name: &str| {
        let line = block
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .expect(name)
            .to_owned()
    };
    let brokers = word_after("kafka");
    let http = word_after("http").replace("http://", "");
    let block = block
        .replace(&format!(" -b {brokers}"), "")
        .replace(&brokers, "127.0.0.1:9092")
        .replace(&http, "127.0.0.1:9644");
    (server, block, brokers, http)
}

/// A directory to put before PATH, with `lastword` in it.
fn path_with_lastword(place: &Path) -> String {
    let bin: PathBuf = place.join("bin");
    std::fs::create_dir(&bin).expect("bin");
    symlink(env!("CARGO_BIN_EXE_lastword"), bin.join("lastword")).expect("link");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", bin.display())
}

#[test]
fn the_tour_of_the_readme_shows_what_it_says_and_compaction_by_the_seventh_command() {
    let steps = steps(&readme());
    let seen = steps
        .iter()
        .position(|step| step.command.starts_with("lastword consume") && step.output.len() == 2);
    assert_eq!(seen, Some(6), "compaction is seen with the seventh command");
    let place = temporary();
    let path = path_with_lastword(place.path());
    let (_server, block, brokers, http) = serve(&steps[0], place.path());
    compare(&steps[0], &block);
    for step in &steps[1..] {
        let log = place.path().join("out");
        let out = std::fs::File::create(&log).expect("file");
        // Both streams to one place, as on a terminal.
        let both = out.try_clone().expect("file");
        let status = Command::new("sh")
            .args(["-c", &step.command])
            .current_dir(place.path())
            .env("PATH", &path)
            .env("LASTWORD_BROKERS", &brokers)
            .env("LASTWORD_HTTP", &http)
            .env_remove("LASTWORD_LOG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(both)
            .status()
            .expect("sh");
        let printed = std::fs::read_to_string(&log).expect("text");
        assert!(status.success(), "$ {}\n{printed}", step.command);
        compare(step, &printed);
    }
}

#[test]
fn the_comparison_takes_other_times_and_no_other_numbers() {
    let told = "prices-0  rolled at 3  cleaned 0..3 in 4 ms  3 -> 2 records  103 B -> 89 B";
    assert!(is_as_told(told, &told.replace("in 4 ms", "in 17 ms")));
    assert!(!is_as_told(told, &told.replace("2 records", "3 records")));
    assert!(!is_as_told(told, &told.replace("89 B", "90 B")));
    let told = "until 2026-11-24 14:02 UTC (delete.retention.ms 24 h)";
    assert!(is_as_told(
        told,
        &told.replace("2026-11-24 14:02", "2027-01-02 09:59")
    ));
    assert!(!is_as_told(told, &told.replace("24 h", "25 h")));
    assert!(!is_as_told("0 AAPL=191", "0 AAPL=192"));
}
