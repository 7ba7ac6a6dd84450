//! What a command may end with, and how it is said.
//!
//! At most three lines: what failed, why, what to do next. The exit code tells scripts who is at fault:
//! 0 done, 1 the answer is no, 2 usage or a local failure, 3 the broker cannot be reached (safe to retry),
//! 4 the broker refused, 130 a signal. A closed pipe is not a failure.

use std::fmt;
use std::io;

use lastword_protocol::ErrorCode;
use serde::Serialize;

/// Whose fault it is; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nobody reads our output any more.
    BrokenPipe = 0,
    /// The answer is no.
    No = 1,
    /// Wrong usage, or a failure on this machine.
    Local = 2,
    /// The broker cannot be reached, or did not answer in time.
    Unreachable = 3,
    /// The broker refused, with a Kafka error.
    Refused = 4,
    /// A signal asked us to stop.
    Interrupted = 130,
}

#[cfg(test)]
impl Exit {
    /// All of them, but that nothing has failed.
    pub const ALL: [Exit; 6] = [
        Exit::BrokenPipe,
        Exit::No,
        Exit::Local,
        Exit::Unreachable,
        Exit::Refused,
        Exit::Interrupted,
    ];

    /// For the book.
    pub fn when(self) -> &'static str {
        match self {
            Exit::BrokenPipe => "Done; also when whoever read the output has left",
            Exit::No => {
                "The answer is no: no such key, not ready, a proof that fails, settings that are wrong"
            }
            Exit::Local => "Wrong usage, or a failure on this machine",
            Exit::Unreachable => {
                "The broker cannot be reached or did not answer in time: safe to try again"
            }
            Exit::Refused => "The broker refused; Kafka's name of the error is printed",
            Exit::Interrupted => "Ended by Ctrl-C; 143 by a second SIGTERM to `serve`",
        }
    }
}

/// A failure, ready to be shown.
#[derive(Clone, Debug)]
pub struct CliError {
    pub exit: Exit,
    /// Kafka's error name, or one of ours in the same style.
    pub code: String,
    /// What failed.
    pub what: String,
    /// Why.
    pub why: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    pub fn new(exit: Exit, code: &str, what: impl Into<String>) -> CliError {
        CliError {
            exit,
            code: code.to_owned(),
            what: what.into(),
            why: None,
            hint: None,
        }
    }

    /// A mistake in what was typed, or a failure on this machine.
    pub fn local(code: &str, what: impl Into<String>) -> CliError {
        CliError::new(Exit::Local, code, what)
    }

    /// Something in the arguments that clap cannot judge.
    pub fn usage(what: impl Into<String>) -> CliError {
        CliError::local("USAGE", what)
    }

    /// The broker's own word, by code; its message says more than ours when there is one.
    pub fn refused(what: impl Into<String>, code: i16, message: Option<&str>) -> CliError {
        let known = ErrorCode::from_code(code);
        let name = known.map_or_else(|| format!("ERROR_{code}"), |code| code.name().to_owned());
        let says = match message {
            Some(message) if !message.is_empty() => message,
            _ => known.map_or("an error this version does not know", ErrorCode::message),
        };
        CliError {
            exit: Exit::Refused,
            why: Some(format!("{name}: {says}")),
            code: name,
            what: what.into(),
            hint: None,
        }
    }

    pub fn why(mut self, why: impl Into<String>) -> CliError {
        self.why = Some(why.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// The error as one JSON document, for `--format json`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: String,
            hint: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Document<'a> {
            error: Body<'a>,
        }
        let message = match &self.why {
            Some(why) => format!("{}: {why}", self.what),
            None => self.what.clone(),
        };
        serde_json::to_string(&Document {
            error: Body {
                code: &self.code,
                message,
                hint: self.hint.as_deref(),
            },
        })
        .unwrap_or_default()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.what)?;
        if let Some(why) = &self.why {
            write!(out, "\n  why: {why}")?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "\n  try: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

/// Only writes to standard output end here by `?`; every other use of a file says which it was.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return CliError::new(Exit::BrokenPipe, "BROKEN_PIPE", "the reader has left");
        }
        CliError::local("OUTPUT", "cannot write to standard output").why(error.to_string())
    }
}
