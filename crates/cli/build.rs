//! Tells the binary which sources and which compiler it was made of, for `lastword version`. Both may be given by who builds it
//! (`BUILD_REVISION`, `BUILD_RUSTC`); without git, or outside a repository, the revision stays unknown.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    for (name, program, args) in [
        (
            "BUILD_REVISION",
            "git",
            &["rev-parse", "--short=12", "HEAD"][..],
        ),
        ("BUILD_RUSTC", rustc.as_str(), &["--version"][..]),
    ] {
        if std::env::var_os(name).is_none()
            && let Some(line) = first_line(program, args)
        {
            println!("cargo:rustc-env={name}={line}");
        }
    }
    // A commit changes this file, and with it the revision.
    if let Some(path) = first_line("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={path}");
    }
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
