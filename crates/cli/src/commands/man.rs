//! `lastword man [DIR]`: the manual, made from the same text as the help. One page a command.

use std::path::PathBuf;

use clap::Command;

use crate::error::{CliError, Result};
use crate::output;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword man | man -l -\n  lastword man ~/.local/share/man/man1"
)]
pub struct Args {
    /// Write every page into this directory; without it, the first one goes to standard output
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &Args, mut command: Command) -> Result<()> {
    command.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return output::text(&String::from_utf8_lossy(&page));
    };
    let failed = |error: std::io::Error| {
        CliError::local(
            "OUTPUT",
            format!("cannot write the pages into {}", dir.display()),
        )
        .why(error.to_string())
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(command, dir).map_err(failed)
}
