//! What the terminal can show, if there is one: its width, its characters, whether lines can be drawn over.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use clap::{ColorChoice, ValueEnum};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

static CHOSEN: OnceLock<ColorChoice> = OnceLock::new();

/// By `--color`, then `NO_COLOR`, then `FORCE_COLOR` and `CLICOLOR_FORCE`. Called once, before the arguments are read,
/// because help has colours too.
pub fn choose_colour(words: &[String]) {
    let joined = words.iter().find_map(|word| word.strip_prefix("--color="));
    let apart = words.windows(2).find(|pair| pair[0] == "--color");
    let flag = joined.or_else(|| apart.map(|pair| pair[1].as_str()));
    let is_set =
        |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    let is_any = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let choice = match flag {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ if is_any("NO_COLOR") => ColorChoice::Never,
        _ if is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE") => ColorChoice::Always,
        // By itself the library takes a CI's word for it that a dumb terminal has colours.
        _ if is_dumb() => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    let _ = CHOSEN.set(choice);
}

pub fn colour() -> ColorChoice {
    CHOSEN.get().copied().unwrap_or(ColorChoice::Auto)
}

/// Whether this stream gets colours.
pub fn has_colour(stream: &impl IsTerminal) -> bool {
    match colour() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => can_redraw(stream),
    }
}

/// Columns of standard output; 80 where that is no terminal.
pub fn width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(40, 200),
        _ => 80,
    }
}

/// Whether the locale has the characters of pictures.
pub fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether this stream is a terminal that knows how to go back: a dumb one only prints on.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether bars are drawn on standard error when nobody said: on a terminal, and not in CI.
pub fn wants_progress() -> bool {
    can_redraw(&io::stderr()) && std::env::var_os("CI").is_none_or(|value| value.is_empty())
}
