//! What a shell and `man` get from the binary: completions with the broker's names in them, pages, and help with examples.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{Broker, Run, command, temporary};

fn run(args: &[&str]) -> Run {
    crate::support::lastword("127.0.0.1:1", args, b"")
}

/// What bash would offer for the last word.
fn offered(broker: &str, words: &[&str]) -> BTreeSet<String> {
    let output = command(&["--"])
        .args(words)
        .env("LASTWORD_BROKERS", broker)
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .output()
        .expect("complete");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Every command below this one, as the words that name it.
pub fn commands(help_of: &[&str]) -> Vec<Vec<String>> {
    let mut args = help_of.to_vec();
    args.push("--help");
    let help = run(&args).ok();
    let mut found = Vec::new();
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap_or_default();
        if name == "help" || !line.starts_with("  ") || line.starts_with("   ") {
            continue;
        }
        let words: Vec<&str> = help_of.iter().copied().chain([name]).collect();
        found.push(words.iter().map(|&word| word.to_owned()).collect());
        found.extend(commands(&words));
    }
    found
}

#[test]
fn a_shell_is_offered_commands_topics_and_settings() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    broker.run(&["topic", "create", "orders"]).ok();
    let offer = |words: &[&str]| offered(&broker.address, words);
    assert!(offer(&["lastword", "com"]).is_superset(&set(&["compact", "completions"])));
    assert_eq!(offer(&["lastword", "consume", "pr"]), set(&["prices"]));
    let both = offer(&["lastword", "topic", "delete", ""]);
    assert!(both.is_superset(&set(&["orders", "prices"])), "{both:?}");
    assert_eq!(offer(&["lastword", "get", "ord"]), set(&["orders"]));
    let names = offer(&["lastword", "topic", "create", "a", "-c", "min.cl"]);
    assert_eq!(names, set(&["min.cleanable.dirty.ratio="]));
    // The broker that the line names is asked; one that is not there offers nothing.
    let named = ["lastword", "consume", "-b", &broker.address, "pr"];
    assert_eq!(offered("127.0.0.1:1", &named), set(&["prices"]));
    assert_eq!(
        offered("127.0.0.1:1", &["lastword", "consume", "pr"]),
        set(&[])
    );
}

#[test]
fn every_shell_gets_its_script_and_man_a_page_for_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).ok();
        assert!(script.contains("COMPLETE"), "{shell}: {script}");
    }
    run(&["completions", "csh"]).fails(2);
    assert!(run(&["man"]).ok().contains(".TH lastword 1"));
    let dir = temporary();
    run(&["man", dir.path().to_str().expect("path")]).ok();
    for words in commands(&[]) {
        let page = format!("lastword-{}.1", words.join("-"));
        let text = std::fs::read_to_string(dir.path().join(&page));
        assert!(text.is_ok_and(|text| text.contains("Examples:")), "{page}");
    }
    assert!(Path::new(dir.path()).join("lastword.1").exists());
}

#[test]
fn the_help_of_every_command_ends_with_examples() {
    let all = commands(&[]);
    assert!(all.len() > 15, "{all:?}");
    for words in all {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let help = run(&args).ok();
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        assert!(examples.contains("lastword "), "{words:?} has no examples");
        // As it is read on a small terminal.
        let output = command(&args).env("COLUMNS", "80").output().expect("help");
        let help = String::from_utf8(output.stdout).expect("text");
        let wide: Vec<&str> = help
            .lines()
            .filter(|line| line.chars().count() > 80)
            .collect();
        assert!(wide.is_empty(), "{words:?}: {wide:#?}");
    }
}

#[test]
fn version_names_the_apis_that_the_broker_answers_with() {
    let document: Value =
        serde_json::from_str(&run(&["version", "--format", "json"]).ok()).expect("JSON");
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    let apis = document["apis"].as_array().expect("apis");
    let fetch = apis
        .iter()
        .find(|api| api["name"] == "Fetch")
        .expect("Fetch");
    assert_eq!(fetch["key"], 1);
    assert!(fetch["max_version"].as_i64() >= Some(12), "{fetch}");
    let text = run(&["version"]).ok();
    assert!(
        text.starts_with(&format!("lastword {}", env!("CARGO_PKG_VERSION"))),
        "{text}"
    );
}
