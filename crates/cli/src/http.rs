//! The commands' way to a broker's HTTP address, with errors in the form of all commands.

use std::io;
use std::time::Duration;

use lastword_http::client::{Answer, Client, DEFAULT_ADDRESS};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{CliError, Exit, Result};

/// Where the broker serves HTTP: the same options on every command that asks there.
#[derive(clap::Args, Clone, Debug)]
pub struct HttpArgs {
    /// The broker's HTTP address
    #[arg(long, env = "LASTWORD_HTTP", default_value = DEFAULT_ADDRESS, value_name = "HOST:PORT")]
    http: String,

    /// Longest wait for a connection or an answer, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl HttpArgs {
    /// For a command that has a timeout already.
    pub fn new(http: &str, timeout_s: u64) -> HttpArgs {
        HttpArgs {
            http: http.to_owned(),
            timeout: timeout_s,
        }
    }

    /// A request that the broker grants, and its answer. `path` has its parts encoded
    /// ([`lastword_http::client::encode`]).
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let answer = self.send(method, path, body)?;
        if let Some(refusal) = answer.refusal() {
            let why = format!("{}: {}", refusal.code, refusal.message);
            return Err(CliError::new(Exit::Refused, &refusal.code, "the broker refused").why(why));
        }
        self.decode(&answer)
    }

    /// A request, and its answer whatever that says.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let client =
            Client::new(&self.http, Duration::from_secs(self.timeout)).map_err(|error| {
                CliError::usage(error.to_string())
                    .hint(format!("--http HOST:PORT, as in --http {DEFAULT_ADDRESS}"))
            })?;
        let body = body.map(Value::to_string);
        let answer = client.send(method, path, body.as_deref());
        answer.map_err(|error| unreachable(client.address(), &error))
    }

    /// The body of an answer, as a value of this type.
    pub fn decode<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| self.bad_answer(&error))
    }

    /// The answer is not of the kind that was asked for.
    pub fn bad_answer(&self, error: &serde_json::Error) -> CliError {
        let what = format!("{} does not answer as Lastword does", self.http);
        CliError::new(Exit::Unreachable, "BAD_ANSWER", what)
            .why(error.to_string())
            .hint("--http names the broker's HTTP address, not the one for Kafka clients")
    }
}

fn unreachable(address: &str, error: &io::Error) -> CliError {
    let what = format!("cannot reach http://{address}");
    let (code, why) = match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            ("TIMED_OUT", "no answer in time".to_owned())
        }
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ("BAD_ANSWER", format!("the answer is no HTTP: {error}"))
        }
        _ => ("UNREACHABLE", error.to_string()),
    };
    CliError::new(Exit::Unreachable, code, what)
        .why(why)
        .hint("start one with `lastword serve`, or name another with --http HOST:PORT")
}
