//! What the commands that open a log directory need of their process. No lock, no state.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::error::{CliError, Result};
use crate::terminal;

/// A taken lock is `WouldBlock`, wherever in the chain of causes it stands.
pub fn is_locked(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Writes the log to standard error, by the filter that was given, by RUST_LOG, or by what is usual on a terminal and
/// elsewhere.
pub fn start_log(given: Option<&str>, elsewhere: &str, on_terminal: &str) -> Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let default = if is_terminal { on_terminal } else { elsewhere };
    let given = given
        .map(str::to_owned)
        .or_else(|| std::env::var("RUST_LOG").ok());
    let filter = EnvFilter::try_new(given.as_deref().unwrap_or(default))
        .map_err(|error| CliError::usage("the log filter cannot be read").why(error.to_string()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(terminal::has_colour(&io::stderr()))
        .with_writer(io::stderr)
        .finish();
    // Only a second call in one process could fail, and there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// A partition holds several files open, and the usual limit of 1,024 is not made for that.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
