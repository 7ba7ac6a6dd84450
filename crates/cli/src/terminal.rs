//! What the terminal can show, if there is one: its width, its characters, whether lines can be drawn over.

use std::io::{self, IsTerminal};

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
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_dumb
}

/// Whether bars are drawn on standard error when nobody said: on a terminal, and not in CI.
pub fn wants_progress() -> bool {
    can_redraw(&io::stderr()) && std::env::var_os("CI").is_none_or(|value| value.is_empty())
}
