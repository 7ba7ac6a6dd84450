pub fn run(_: &Args) -> crate::error::Result<()> { Ok(()) }
#[derive(clap::Args)]
pub struct Args {}
