//! The lines of a `server.properties` file.

use lastword_broker::config::parse_lines;

use super::Origin;

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
