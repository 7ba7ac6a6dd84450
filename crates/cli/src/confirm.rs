//! Asking before something goes for good. Without a terminal to ask on, nothing goes unless `-y` says that somebody has
//! thought about it.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::{CliError, Exit, Result};

/// Refuses when nobody can be asked; `what` as in `delete prices`.
pub fn check_can_ask(what: &str) -> Result<()> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    let error = CliError::local("NOT_CONFIRMED", format!("not done without asking: {what}"));
    Err(error.why("there is no terminal to ask on").hint("add -y"))
}

/// Asks; anything but yes is an error that says what `stays`.
pub fn ask(question: &str, stays: &str) -> Result<()> {
    let mut err = io::stderr().lock();
    let question = format!("{question} [y/N] ");
    let _ = err
        .write_all(question.as_bytes())
        .and_then(|()| err.flush());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        CliError::local("INPUT", "cannot read the answer").why(error.to_string())
    })?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::new(
            Exit::No,
            "NOT_CONFIRMED",
            format!("{stays} stays"),
        )),
    }
}
