//! `lastword`: the broker and its tools in one binary.
//!
//! One file per command under `commands/`; they are free functions from parsed arguments to a `Result`, and
//! only this file turns a result into an exit code. `topic`, `produce` and `consume` speak the Kafka wire through
//! `client/`, so they work against any Kafka broker; `check`, `get`, `compact` and `topic describe --map` speak HTTP through
//! `http`; only `serve`, `demo`, `compact --data-dir`, `verify` and `dump`
//! know what is inside.
//!
//! Standard output carries the answer and nothing else; everything said to a person goes to standard error.

mod base64;
mod client;
mod commands;
mod completion;
mod confirm;
mod error;
mod format;
mod http;
mod notify;
mod offset;
mod output;
mod process;
mod properties;
#[cfg(test)]
mod reference;
mod schema;
mod scratch;
mod settings;
mod terminal;
mod time;
mod true_counts;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{CliError, Exit};

#[derive(Parser)]
#[command(
    name = "lastword",
    version,
    about = "A Kafka-compatible log broker that keeps the last word on every key",
    disable_help_subcommand = false,
    after_help = "Exit codes: 0 done, 1 the answer is no, 2 wrong usage or a local failure, 3 the broker cannot be \
                  reached, 4 the broker refused, 130 interrupted.\n\n--format json prints one JSON document, errors \
                  too; --format help prints its schema."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Whether to colour: auto asks NO_COLOR, FORCE_COLOR and the terminal
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: terminal::Colour,
}

#[derive(Subcommand)]
enum Command {
    /// Run a broker
    Serve(commands::serve::Args),
    /// See compaction at work, on a year of real flights: nothing else is needed
    Demo(commands::demo::Args),
    /// Ask whether a broker serves: exit code 0 for yes, 1 for no, 3 for no answer
    Check(commands::check::Args),
    /// Create, list, describe, alter and delete topics
    #[command(visible_alias = "topics")]
    Topic(commands::topic::Args),
    /// Consumer groups: list, describe with true lag, seek, delete
    #[command(visible_alias = "groups")]
    Group(commands::group::Args),
    /// Write records from standard input, a file, or the command line
    Produce(commands::produce::Args),
    /// Read records
    Consume(commands::consume::Args),
    /// Check, show, explain and change settings
    Config(commands::config::Args),
    /// Look a key up: the last committed value
    Get(commands::get::Args),
    /// Clean compacted logs now, see why they are not, pause and resume: on a running broker, or on a directory
    Compact(commands::compact::Args),
    /// Print a dashboard, alert rules, a systemd unit, a compose file
    Generate(commands::generate::Args),
    /// Show what lies in the files of a log
    Dump(commands::dump::Args),
    /// Prove that one directory is a right cleaning of another
    Verify(commands::verify::Args),
    /// Print the script that completes commands, topics and settings in a shell
    Completions(commands::completions::Args),
    /// Print the manual, or write its pages
    Man(commands::man::Args),
    /// Print the version, and the Kafka APIs with the versions that are served
    Version(commands::version::Args),
}

fn main() -> ExitCode {
    completion::answer(Cli::command);
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    terminal::choose_colour(&words);
    let wants_json = schema::wants_json(&words);
    if schema::is_asked(&words) {
        return end(schema::print(&Cli::command(), &words), false);
    }
    let command = Cli::command().color(terminal::colour());
    let cli = match command
        .try_get_matches()
        .and_then(|it| Cli::from_arg_matches(&it))
    {
        Ok(cli) => cli,
        // Help and version are no errors, and clap colours what it says.
        Err(error) if !error.use_stderr() || !wants_json => error.exit(),
        Err(error) => return end(Err(misuse(&error)), true),
    };
    let (result, json) = match cli.command {
        Command::Serve(args) => (commands::serve::run(&args), false),
        Command::Demo(args) => {
            let json = args.json();
            (commands::demo::run(&args), json)
        }
        Command::Check(args) => {
            let json = args.json();
            (commands::check::run(&args), json)
        }
        Command::Topic(args) => {
            let json = args.json();
            (commands::topic::run(args), json)
        }
        Command::Produce(args) => {
            let json = args.json();
            (commands::produce::run(&args), json)
        }
        Command::Consume(args) => {
            let json = args.json();
            (commands::consume::run(&args), json)
        }
        Command::Config(args) => {
            let json = args.json();
            (commands::config::run(&args), json)
        }
        Command::Group(args) => {
            let json = args.json();
            (commands::group::run(&args), json)
        }
        Command::Get(args) => {
            let json = args.json();
            (commands::get::run(&args), json)
        }
        Command::Compact(args) => {
            let json = args.json();
            (commands::compact::run(&args), json)
        }
        Command::Generate(args) => (commands::generate::run(&args), false),
        Command::Dump(args) => {
            let json = args.json();
            (commands::dump::run(&args), json)
        }
        Command::Verify(args) => {
            let json = args.json();
            (commands::verify::run(&args), json)
        }
        Command::Completions(args) => (commands::completions::run(&args), false),
        Command::Man(args) => (commands::man::run(&args, Cli::command()), false),
        Command::Version(args) => {
            let json = args.json();
            (commands::version::run(&args), json)
        }
    };
    end(result, json || wants_json)
}

/// What clap says about wrong arguments, without its layout.
fn misuse(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let (what, rest) = text.split_once("\n\nUsage:").unwrap_or((&text, ""));
    let words: Vec<&str> = what
        .split_whitespace()
        .skip_while(|&word| word == "error:")
        .collect();
    let usage = rest.lines().next().unwrap_or_default().trim();
    let misuse = CliError::usage(words.join(" "));
    match usage {
        "" => misuse,
        usage => misuse.hint(usage),
    }
}

/// Says what failed, and makes it the exit code.
fn end(result: Result<(), CliError>, json: bool) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.exit != Exit::BrokenPipe {
                output::say(&if json {
                    error.to_json()
                } else {
                    error.to_string()
                });
            }
            ExitCode::from(error.exit as u8)
        }
    }
}
