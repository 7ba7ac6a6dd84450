//! What the shell offers when one presses Tab. Commands and options come from clap; topics and groups from the broker that the
//! line names (`-b`, `LASTWORD_BROKERS`, the default), within a second; names of settings from the tables.
//!
//! A shell asks by running this binary with `COMPLETE` set: nothing may be printed then but candidates, so a broker that
//! does not answer offers none.

use std::ffi::OsStr;

use clap::builder::ValueHint;
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use lastword_protocol::message;
use lastword_protocol::messages::list_groups_request::ListGroupsRequest;

use crate::client::{Client, ClientArgs};

/// Set by the shell's script.
pub const VARIABLE: &str = "COMPLETE";
/// How long a broker may take, in seconds: somebody waits with a finger on a key.
const PATIENCE_S: u64 = 1;
const DEFAULT_BROKERS: &str = "localhost:9092";

/// Answers a shell and ends the process, if it is one that asks.
pub fn answer(command: impl Fn() -> Command) {
    CompleteEnv::with_factory(|| with_completers(command()))
        .var(VARIABLE)
        .complete();
}

/// Gives every argument that takes a name its source, by what it is called in the usage.
fn with_completers(command: Command) -> Command {
    let noun = command.get_name().to_owned();
    let is_creating = noun == "create";
    command
        .mut_args(|arg| match source(&noun, is_creating, &arg) {
            Some(source) => arg.add(source),
            None => arg,
        })
        .mut_subcommands(with_completers)
}

fn source(command: &str, is_creating: bool, arg: &Arg) -> Option<ArgValueCompleter> {
    let name = arg.get_value_names().and_then(<[_]>::first)?.as_str();
    let is_path = arg.get_value_hint() != ValueHint::Unknown;
    match name {
        _ if is_path => None,
        "TOPIC" | "TOPIC[:PARTITION]" => Some(ArgValueCompleter::new(topics)),
        "GROUP" => Some(ArgValueCompleter::new(groups)),
        "NAME" if !is_creating && arg.is_positional() && command != "explain" => {
            Some(ArgValueCompleter::new(topics))
        }
        "NAME=VALUE" => Some(ArgValueCompleter::new(settings)),
        "NAME" => Some(ArgValueCompleter::new(setting_names)),
        _ => None,
    }
}

fn client() -> Option<Client> {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let place = words.iter().position(|word| word == flag)?;
        words.get(place + 1).cloned()
    };
    let joined = words
        .iter()
        .find_map(|word| word.strip_prefix("--brokers=").map(str::to_owned));
    let brokers = after("-b").or_else(|| after("--brokers")).or(joined);
    let brokers = brokers.or_else(|| std::env::var("LASTWORD_BROKERS").ok());
    let brokers = brokers.unwrap_or_else(|| DEFAULT_BROKERS.to_owned());
    Client::connect(&ClientArgs::new(&brokers, PATIENCE_S)).ok()
}

fn topics(typed: &OsStr) -> Vec<CompletionCandidate> {
    let topics = client().and_then(|mut client| client.topics().ok());
    let topics = topics.unwrap_or_default();
    // Who wants to see internal topics begins to type their names.
    let hidden = |name: &str| name.starts_with("__") && typed.is_empty();
    let names = topics.into_iter().map(|topic| topic.name);
    candidates(typed, names.filter(|name| !hidden(name)))
}

fn groups(typed: &OsStr) -> Vec<CompletionCandidate> {
    let answer = client().and_then(|mut client| client.call(&message!(ListGroupsRequest {})).ok());
    let groups = answer.map(|answer| answer.groups).unwrap_or_default();
    candidates(
        typed,
        groups.into_iter().map(|group| group.group_id.to_string()),
    )
}

fn setting_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = lastword_broker::offline::OfflineSettings::names();
    candidates(typed, names.map(str::to_owned))
}

/// `NAME=`, to go on typing.
fn settings(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = lastword_broker::offline::OfflineSettings::names();
    candidates(typed, names.map(|name| format!("{name}=")))
}

fn candidates(typed: &OsStr, names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names
        .filter(|name| name.starts_with(typed.as_ref()))
        .map(CompletionCandidate::new)
        .collect()
}
