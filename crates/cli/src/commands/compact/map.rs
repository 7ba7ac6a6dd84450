//! Head and tail of a partition as one line: `topic describe --map`.
//!
//! Each cell is an equal share of the bytes, and its mark the share of live bytes in it. `|` are the log start, the end of
//! the clean tail, the first uncleanable offset and the log end, named below. What no cleaning may touch yet is not known.

use super::live::Plan;
use crate::time::minute;

const MARKS: [char; 5] = ['·', '░', '▒', '▓', '█'];
const ASCII_MARKS: [char; 5] = ['.', '-', '=', '+', '#'];
const UNKNOWN: char = '▁';
const ASCII_UNKNOWN: char = '_';

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// From 0, hardly anything lives, to 4.
    Live(usize),
    Unknown,
}

/// Bytes of one kind beside each other.
struct Run {
    bytes: u64,
    live_share: Option<f64>,
}

/// The lines of one partition, `width` characters wide.
pub fn draw(name: &str, plan: &Plan, width: usize, is_ascii: bool) -> String {
    let sections = ["tail", "dirty", "rest"];
    let runs: Vec<Vec<Run>> = sections
        .iter()
        .map(|section| {
            let segments = plan.segments.iter().filter(|segment| match *section {
                "rest" => segment.section == "waiting" || segment.section == "active",
                section => segment.section == section,
            });
            let runs = segments.map(|segment| Run {
                bytes: segment.bytes,
                live_share: segment
                    .live_bytes
                    .map(|live| live as f64 / segment.bytes.max(1) as f64),
            });
            runs.filter(|run| run.bytes > 0).collect()
        })
        .collect();
    let total: u64 = runs.iter().flatten().map(|run| run.bytes).sum();
    let cells = width.saturating_sub(name.chars().count() + 6).max(12);
    let mut line = format!("{name} |");
    let mut columns = vec![line.chars().count() - 1];
    for section in &runs {
        let bytes: u64 = section.iter().map(|run| run.bytes).sum();
        let share = bytes as f64 / total.max(1) as f64;
        let count = ((share * cells as f64).round() as usize).max(usize::from(bytes > 0));
        for mark in marks(section, count) {
            line.push(match (mark, is_ascii) {
                (Mark::Live(level), false) => MARKS[level],
                (Mark::Live(level), true) => ASCII_MARKS[level],
                (Mark::Unknown, false) => UNKNOWN,
                (Mark::Unknown, true) => ASCII_UNKNOWN,
            });
        }
        columns.push(line.chars().count());
        line.push('|');
    }
    if plan.tombstones > 0 {
        let sign = if is_ascii { "+" } else { "†" };
        line.push_str(&format!(" {sign}{}", plan.tombstones));
        if let Some(ms) = plan.tombstones_until_ms {
            line.push_str(&format!(" until {}", minute(ms)));
        }
    }
    let first_uncleanable = format!("{} {}", plan.first_uncleanable_offset, plan.limit);
    let labels = [
        format!("{} start", plan.log_start_offset),
        format!("{} clean", plan.first_dirty_offset),
        first_uncleanable,
        format!("{} end", plan.log_end_offset),
    ];
    let mut text = format!("{line}\n");
    for label_line in under(&columns, &labels, width) {
        text.push_str(label_line.trim_end());
        text.push('\n');
    }
    text
}

/// A section's bytes in so many cells.
fn marks(section: &[Run], count: usize) -> Vec<Mark> {
    let total: u64 = section.iter().map(|run| run.bytes).sum();
    let cell = |index: usize| {
        let from = total as f64 * index as f64 / count as f64;
        let to = total as f64 * (index + 1) as f64 / count as f64;
        let (mut start, mut known, mut live) = (0.0, 0.0, 0.0);
        for run in section {
            let end = start + run.bytes as f64;
            let overlap = (end.min(to) - f64::max(start, from)).max(0.0);
            if let Some(share) = run.live_share {
                known += overlap;
                live += overlap * share;
            }
            start = end;
        }
        if known <= 0.0 {
            return Mark::Unknown;
        }
        Mark::Live(level(live / known))
    };
    (0..count).map(cell).collect()
}

/// More than 88, 63, 38 and 13 in a hundred.
fn level(share: f64) -> usize {
    [0.13, 0.38, 0.63, 0.88]
        .iter()
        .filter(|least| share > **least)
        .count()
}

/// Labels that begin below their columns, or end there where the width ends, on as many lines as it takes that none covers
/// another.
fn under(columns: &[usize], labels: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (column, label) in columns.iter().zip(labels) {
        let length = label.chars().count();
        let column = &match column + length > width {
            true => (column + 1).saturating_sub(length),
            false => *column,
        };
        let fits = |line: &String| line.chars().count() < *column || line.is_empty();
        let index = match lines.iter().position(fits) {
            Some(index) => index,
            None => {
                lines.push(String::new());
                lines.len() - 1
            }
        };
        let line = &mut lines[index];
        let pad = column - line.chars().count();
        line.push_str(&" ".repeat(pad));
        line.push_str(label);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::compact::live::{Segment, Size};

    fn segment(section: &str, bytes: u64, live_bytes: Option<u64>) -> Segment {
        Segment {
            base_offset: 0,
            bytes,
            section: section.to_owned(),
            live_bytes,
            records: None,
            dead_records: None,
            is_changed: false,
            damage: None,
        }
    }

    fn plan(segments: Vec<Segment>) -> Plan {
        let size = Size {
            records: 0,
            bytes: 0,
        };
        Plan {
            reason: String::new(),
            why: String::new(),
            log_start_offset: 0,
            first_dirty_offset: 100,
            first_uncleanable_offset: 200,
            limit: "active".to_owned(),
            log_end_offset: 250,
            before: size,
            after: size,
            live_keys: 0,
            tombstones: 2,
            tombstones_until_ms: Some(0),
            segments,
        }
    }

    #[test]
    fn cells_are_equal_shares_of_bytes_with_the_share_that_lives() {
        let plan = plan(vec![
            segment("tail", 200, Some(0)),
            segment("tail", 200, Some(100)),
            segment("dirty", 400, Some(400)),
            segment("active", 400, None),
        ]);
        let drawn = draw("t-0", &plan, 21, true);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(
            lines[0],
            "t-0 |..==|####|____| +2 until 1970-01-01 00:00 UTC"
        );
        assert_eq!(lines[1], "    0 start  250 end");
        assert_eq!(lines[2], "         100 clean");
        assert_eq!(lines[3], "     200 active");
        let drawn = draw("t-0", &plan, 21, false);
        assert!(
            drawn.starts_with("t-0 |··▒▒|████|▁▁▁▁| †2 until"),
            "{drawn}"
        );
    }

    #[test]
    fn an_empty_log_has_no_cells_and_a_small_section_has_one() {
        let empty = draw("t-0", &plan(Vec::new()), 40, true);
        assert!(empty.starts_with("t-0 |||| +2"), "{empty}");
        let small = plan(vec![
            segment("tail", 1, Some(1)),
            segment("dirty", 1_000_000, Some(0)),
        ]);
        let drawn = draw("t-0", &small, 40, true);
        assert!(drawn.starts_with("t-0 |#|...."), "{drawn}");
    }

    #[test]
    fn the_levels_are_those_of_the_legend() {
        let shares = [0.0, 0.13, 0.14, 0.38, 0.5, 0.63, 0.7, 0.88, 0.89, 1.0];
        assert_eq!(shares.map(level), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }
}
