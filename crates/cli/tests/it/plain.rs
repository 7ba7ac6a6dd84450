//! What a pipe, a dumb terminal, a C locale and 80 columns get: no escape codes, no characters they lack, no lines too long.

use std::process::{Command, Stdio};

use crate::support::{Broker, command, temporary};

const ESCAPE: char = '\x1b';

/// Both streams of a command with these variables.
fn said(broker: &Broker, http: &str, args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = command(args)
        .env_remove("NO_COLOR")
        .env("LASTWORD_BROKERS", &broker.address)
        .env("LASTWORD_HTTP", http)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    text(output.stdout) + &text(output.stderr)
}

#[test]
fn nothing_but_plain_text_goes_where_only_plain_text_can_go() {
    let data = temporary();
    let broker = Broker::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let http = broker.http();
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    broker
        .run_with(
            &["produce", "prices", "-K:"],
            "AAPL:191\nAAPL:192\nMSFT:410\n",
        )
        .ok();
    let compact = [
        "compact",
        "prices",
        "--roll",
        "--wait",
        "--progress",
        "auto",
    ];
    let commands: [&[&str]; 12] = [
        &["--help"],
        &["topic", "--help"],
        &["topic", "--no-such-flag"],
        &["topic", "ls"],
        &["topic", "describe", "prices"],
        &["topic", "describe", "prices", "--map"],
        &["topic", "describe", "prises"],
        &["consume", "prices", "-e"],
        &["compact", "prices", "--dry-run"],
        &compact,
        &["compact", "prices", "--explain"],
        &["get", "prices", "nothing"],
    ];
    let places: [&[(&str, &str)]; 4] = [
        &[("LC_ALL", "C")],
        &[("LC_ALL", "C"), ("TERM", "dumb"), ("COLUMNS", "80")],
        &[("LC_ALL", "C"), ("NO_COLOR", "1"), ("FORCE_COLOR", "1")],
        &[("LC_ALL", "C"), ("CI", "true")],
    ];
    for args in commands {
        for variables in places {
            let text = said(&broker, &http, args, variables);
            assert!(!text.is_empty(), "{args:?}");
            assert!(!text.contains(ESCAPE), "{args:?} {variables:?}: {text:?}");
            assert!(text.is_ascii(), "{args:?} {variables:?}: {text:?}");
            let is_wide = |line: &&str| variables.contains(&("COLUMNS", "80")) && line.len() > 80;
            let help = args.contains(&"--help") || args.contains(&"--map");
            assert_eq!(
                text.lines().filter(|line| help && is_wide(line)).count(),
                0,
                "{args:?}: {text}"
            );
        }
    }
    // The picture has its own characters where the locale has them.
    let map = ["topic", "describe", "prices", "--map"];
    assert!(!said(&broker, &http, &map, &[("LC_ALL", "C.UTF-8")]).is_ascii());
}

#[test]
fn colours_are_asked_for_by_flag_then_no_color_then_force_color() {
    let data = temporary();
    let broker = Broker::start(data.path());
    let has_colour = |args: &[&str], variables: &[(&str, &str)]| {
        said(&broker, "", args, variables).contains(ESCAPE)
    };
    let wrong = ["topic", "--no-such-flag"];
    assert!(!has_colour(&wrong, &[]));
    assert!(has_colour(&wrong, &[("FORCE_COLOR", "1")]));
    assert!(has_colour(&wrong, &[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&wrong, &[("FORCE_COLOR", "0")]));
    assert!(!has_colour(
        &wrong,
        &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]
    ));
    assert!(
        has_colour(&wrong, &[("FORCE_COLOR", ""), ("NO_COLOR", "")]) == has_colour(&wrong, &[])
    );
    let always = ["--color", "always", "topic", "--no-such-flag"];
    assert!(has_colour(&always, &[("NO_COLOR", "1")]));
    let never = ["--color=never", "topic", "--no-such-flag"];
    assert!(!has_colour(&never, &[("FORCE_COLOR", "1")]));
}

#[test]
fn a_terminal_gets_colours_and_a_dumb_one_does_not() {
    // `script` gives the command a terminal; it is in Debian's base system.
    let on_terminal = |term: &str| {
        let line = format!("{} topic --no-such-flag", env!("CARGO_BIN_EXE_lastword"));
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", term)
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .output()
            .expect("script");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(on_terminal("xterm").contains(ESCAPE));
    let dumb = on_terminal("dumb");
    assert!(
        dumb.contains("unexpected argument") && !dumb.contains(ESCAPE),
        "{dumb:?}"
    );
}
