//! `lastword check ready|live`: the health endpoints as an exit code, for probes in images that have no HTTP client.
//!
//! 0 is yes, 1 is no with what is missing, 3 is no answer.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{CliError, Exit, Result};
use crate::http::HttpArgs;
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword check ready\n  lastword check live --http 127.0.0.1:19644 --timeout 2"
)]
pub struct Args {
    /// What to ask
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    http: HttpArgs,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Clients are served
    Ready,
    /// The process answers
    Live,
}

impl Args {
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

/// What is common to both answers.
#[derive(Deserialize)]
struct Health {
    status: String,
    #[serde(default)]
    checks: Vec<Check>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    ok: bool,
    why: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let (is_yes, body): (bool, Value) = match args.what {
        What::Live => (true, args.http.call("GET", "/livez", None)?),
        What::Ready => {
            // What is missing is in the body of the refusal.
            let answer = args.http.send("GET", "/readyz", None)?;
            (answer.status == 200, args.http.decode(&answer)?)
        }
    };
    let health = Health::deserialize(&body).map_err(|error| args.http.bad_answer(&error))?;
    if args.json() {
        output::json(&body)?;
    } else {
        output::text(&format!("{}\n", health.status))?;
        for warning in &health.warnings {
            output::say(&format!("warning: {warning}"));
        }
    }
    if is_yes {
        return Ok(());
    }
    let missing = health.checks.iter().filter(|check| !check.ok);
    let missing: Vec<String> = missing
        .map(|check| match &check.why {
            Some(why) => format!("{}: {why}", check.name),
            None => check.name.clone(),
        })
        .collect();
    Err(CliError::new(Exit::No, "NOT_READY", "the broker does not serve").why(missing.join("; ")))
}
