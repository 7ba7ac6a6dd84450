//! Tables, JSON and the two streams.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{CliError, Result};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    #[value(alias = "text")]
    Table,
    /// One JSON document, errors too
    Json,
}

/// Says a line to a person. Nothing is done about a closed standard error.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints one JSON document and a newline.
pub fn json<T: Serialize>(document: &T) -> Result<()> {
    let mut out = io::stdout().lock();
    let text = serde_json::to_string(document).map_err(|error| {
        CliError::local("JSON", "cannot write the answer as JSON").why(error.to_string())
    })?;
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints lines.
pub fn text(lines: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Rows in columns two spaces apart; columns whose cells are all numbers are set to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .map(|row| cell(row, column).chars().count())
            .chain([header[column].len()])
            .max()
            .unwrap_or(0)
    };
    let is_number = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || ",.-".contains(c))
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let right: Vec<bool> = (0..columns)
        .map(|column| !rows.is_empty() && rows.iter().all(|row| is_number(&cell(row, column))))
        .collect();
    let mut text = String::new();
    let heading: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for column in 0..columns {
            let content = cell(row, column);
            let pad = " ".repeat(widths[column].saturating_sub(content.chars().count()));
            let (before, after) = if right[column] {
                (pad.as_str(), "")
            } else {
                ("", pad.as_str())
            };
            line.push_str(before);
            line.push_str(&content);
            line.push_str(after);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 partition`, `3 partitions`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `336,776`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `11.2 MB`, `236 B`: powers of ten, as disks are sold.
pub fn human_bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// The known name nearest to what was typed, if it is near at all.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(typed.len()) / 3)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_have_no_tail() {
        let rows = vec![
            vec!["prices".to_owned(), "1".to_owned(), "compact".to_owned()],
            vec!["a".to_owned(), "12".to_owned(), "delete".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "PARTS", "POLICY"], &rows),
            "NAME    PARTS  POLICY\nprices      1  compact\na          12  delete\n"
        );
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_topic() {
        let known = ["prices", "orders", "__consumer_offsets"];
        assert_eq!(nearest("price", known.into_iter()), Some("prices"));
        assert_eq!(nearest("ordres", known.into_iter()), Some("orders"));
        assert_eq!(nearest("customers", known.into_iter()), None);
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(336_776), "336,776");
        assert_eq!(grouped(1_000_000), "1,000,000");
    }

    #[test]
    fn bytes_are_said_with_a_unit() {
        assert_eq!(human_bytes(236), "236 B");
        assert_eq!(human_bytes(11_200_000), "11.2 MB");
        assert_eq!(human_bytes(831_000_000), "831 MB");
    }
}
