//! The `-o` grammar of `consume`: where to start and where to stop.
//!
//! | spelling | meaning |
//! |---|---|
//! | `start beginning earliest` | from the start |
//! | `end latest` | only what comes from now on |
//! | `stored` | where the group of `-g` has committed; the start, where it has not |
//! | `:end` | from the start to what is now the end |
//! | `N`, `N:`, `N:M`, `:M`, `N:end`, `N:+C` | from offset N; up to, not including, M; C offsets from N |
//! | `+N`, `-N` | N after the start, N before the end |
//! | `@T`, `@T1:T2` | by time: 10, 13 or 19 digits, a date, or `-1h` for an hour ago |
//! | `s@T`, `e@T` | kcat's spelling of a start and of an end by time (give `-o` twice) |
//!
//! The end is never included. This file knows no broker: times and ends become offsets in `client/reader.rs`.

use crate::time::parse_instant_ms;

#[cfg(test)]
mod tests;

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// Where a group has committed.
    Stored,
    Exact(i64),
    AfterEarliest(i64),
    BeforeLatest(i64),
    TimestampMs(i64),
}

/// Where reading stops, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Never,
    Latest,
    Exact(i64),
    /// So many offsets after the start.
    Count(i64),
    TimestampMs(i64),
}

/// A range to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    pub start: Start,
    pub end: End,
}

impl OffsetRange {
    pub const ALL: OffsetRange = OffsetRange {
        start: Start::Earliest,
        end: End::Never,
    };
}

/// Reads one or more `-o` values; later ones add to earlier ones (`-o s@.. -o e@..`).
pub fn parse_all<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    now_ms: i64,
) -> Result<OffsetRange, String> {
    let mut range = OffsetRange::ALL;
    for text in texts {
        if let Some(moment) = text.strip_prefix("s@") {
            range.start = Start::TimestampMs(parse_instant_ms(moment, now_ms)?);
        } else if let Some(moment) = text.strip_prefix("e@") {
            range.end = End::TimestampMs(parse_instant_ms(moment, now_ms)?);
        } else {
            let parsed = parse(text, now_ms)?;
            range.start = parsed.start;
            if parsed.end != End::Never {
                range.end = parsed.end;
            }
        }
    }
    Ok(range)
}

fn parse(text: &str, now_ms: i64) -> Result<OffsetRange, String> {
    if let Some(times) = text.strip_prefix('@') {
        return parse_times(times, now_ms);
    }
    let (start, end) = match text.split_once(':') {
        Some((start, end)) => (start, Some(end)),
        None => (text, None),
    };
    let start_at = if start.is_empty() && end.is_some() {
        Start::Earliest
    } else {
        parse_start(start)?
    };
    let end_at = match end {
        None | Some("") => End::Never,
        Some("end" | "latest") => End::Latest,
        Some(end) => match end.strip_prefix('+') {
            Some(count) => End::Count(number(count, text)?),
            None => End::Exact(number(end, text)?),
        },
    };
    if let (Start::Exact(start), End::Exact(end)) = (start_at, end_at)
        && start > end
    {
        return Err(format!("`{text}` ends before it starts"));
    }
    Ok(OffsetRange {
        start: start_at,
        end: end_at,
    })
}

fn parse_start(text: &str) -> Result<Start, String> {
    match text {
        "start" | "beginning" | "earliest" => return Ok(Start::Earliest),
        "end" | "latest" => return Ok(Start::Latest),
        "stored" => return Ok(Start::Stored),
        _ => {}
    }
    if let Some(count) = text.strip_prefix('+') {
        return Ok(Start::AfterEarliest(number(count, text)?));
    }
    if let Some(count) = text.strip_prefix('-') {
        return Ok(Start::BeforeLatest(number(count, text)?));
    }
    Ok(Start::Exact(number(text, text)?))
}

/// `@T`, `@T1:T2`, `@T:end`. A colon also stands inside a time of day, so a range is split where both halves read.
fn parse_times(text: &str, now_ms: i64) -> Result<OffsetRange, String> {
    let single = parse_instant_ms(text, now_ms);
    if let Ok(moment) = single {
        return Ok(OffsetRange {
            start: Start::TimestampMs(moment),
            end: End::Never,
        });
    }
    for (at, _) in text.match_indices(':') {
        let (start, end) = (&text[..at], &text[at + 1..]);
        let Ok(start) = parse_instant_ms(start, now_ms) else {
            continue;
        };
        let end = match end {
            "" => End::Never,
            "end" | "latest" => End::Latest,
            _ => match parse_instant_ms(end.strip_prefix('@').unwrap_or(end), now_ms) {
                Ok(end) => End::TimestampMs(end),
                Err(_) => continue,
            },
        };
        if matches!(end, End::TimestampMs(end) if end < start) {
            return Err(format!("`@{text}` ends before it starts"));
        }
        return Ok(OffsetRange {
            start: Start::TimestampMs(start),
            end,
        });
    }
    single.map(|_| OffsetRange::ALL)
}

fn number(text: &str, whole: &str) -> Result<i64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| {
        format!("`{whole}` is no offset (start, end, :end, 42, 42:50, +10, -10, @1700000000, @-1h, @-2h:-1h)")
    })
}
