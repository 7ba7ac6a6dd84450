//! Java's properties format, as far as `server.properties` files use it.
//!
//! `name=value` or `name: value`, comments with `#` or `!`, a backslash continues a line or
//! escapes the next character. The last of several equal names wins.

use crate::metadata::Properties;

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    /// The name.
    pub name: String,
    /// The value, without the spaces around it.
    pub value: String,
}

/// Reads the text of a properties file.
pub fn parse_properties(text: &str) -> Properties {
    let lines = parse_lines(text).into_iter();
    lines.map(|line| (line.name, line.value)).collect()
}

/// The same, with the lines of the settings, in their order.
pub fn parse_lines(text: &str) -> Vec<Line> {
    let mut settings = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((next, _)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let (name, value) = split(&logical);
        settings.push(Line {
            number,
            name: unescape(name.trim_end()),
            value: unescape(value.trim()),
        });
    }
    settings
}

fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (index, character) in line.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return (&line[..index], &line[index + 1..]),
            _ => {}
        }
    }
    (line, "")
}

fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => unescaped.push('\n'),
                Some('t') => unescaped.push('\t'),
                Some(other) => unescaped.push(other),
                None => {}
            },
            other => unescaped.push(other),
        }
    }
    unescaped
}
