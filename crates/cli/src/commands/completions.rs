//! `lastword completions SHELL`: the script that lets a shell complete commands, topics, groups and names of settings.

use clap_complete::env::Shells;

use crate::completion::VARIABLE;
use crate::error::{CliError, Result};
use crate::output;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword completions bash >~/.local/share/bash-completion/completions/lastword\n  \
    lastword completions zsh >~/.zfunc/_lastword\n  \
    lastword completions fish >~/.config/fish/completions/lastword.fish\n\n\
    The script asks this binary for candidates: topics and groups come from the broker of -b or LASTWORD_BROKERS."
)]
pub struct Args {
    /// Which shell
    #[arg(value_parser = ["bash", "zsh", "fish", "powershell", "elvish"])]
    shell: String,
}

pub fn run(args: &Args) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| CliError::usage(format!("`{}` is no shell that is known", args.shell)))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "lastword", "lastword", "lastword", &mut script)?;
    output::text(&String::from_utf8_lossy(&script))
}
