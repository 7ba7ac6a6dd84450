//! Tells the crate what it is built from: the compiler, and the commit of a release build. A debug build does not ask, so
//! that a commit does not rebuild it. `LASTWORD_REVISION` says the commit where there is no repository.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LASTWORD_REVISION");
    let rustc = std::env::var("RUSTC").ok();
    let rustc = rustc.and_then(|rustc| output(Command::new(rustc).arg("--version")));
    let rustc = rustc
        .as_deref()
        .and_then(|version| version.split(' ').nth(1));
    println!(
        "cargo:rustc-env=LASTWORD_RUSTC={}",
        rustc.unwrap_or("unknown")
    );
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = std::env::var("LASTWORD_REVISION").ok();
    let revision = revision.or_else(|| is_release.then(of_repository).flatten());
    println!(
        "cargo:rustc-env=LASTWORD_REVISION={}",
        revision.as_deref().unwrap_or("unknown")
    );
}

fn of_repository() -> Option<String> {
    let git = |what: &[&str]| output(Command::new("git").args(what));
    // Written at every commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
