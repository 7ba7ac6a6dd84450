//! The text and the lines of a `server.properties` file.

use std::fs::File;
use std::io::{self, Read};

use lastword_broker::config::parse_lines;

use super::Origin;

/// At most so many bytes: what is named may be a device that never ends. Java writes Latin-1 where we write UTF-8.
pub(super) fn read(path: &str, max_bytes: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!(
            "it has more than {max_bytes} bytes"
        )));
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
}

pub(super) fn settings(path: &str, text: &str) -> Vec<(String, String, Origin)> {
    let lines = parse_lines(text).into_iter();
    lines
        .map(|line| {
            let origin = Origin::File {
                path: path.to_owned(),
                line: line.number,
            };
            (line.name, line.value, origin)
        })
        .collect()
}
