//! Dates, instants and durations as people write them. UTC only.
//!
//! Days are counted in the proleptic Gregorian calendar with eras of 400 years, so no table and no loop.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// An instant taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
}

pub fn civil(timestamp_ms: i64) -> Civil {
    let (days, rest) = (
        timestamp_ms.div_euclid(DAY_MS),
        timestamp_ms.rem_euclid(DAY_MS),
    );
    // Years start in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: rest / 3_600_000,
        minute: rest / 60_000 % 60,
        second: rest / 1000 % 60,
        millisecond: rest % 1000,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2026-11-23 14:02 UTC`
pub fn minute(timestamp_ms: i64) -> String {
    strftime("%F %H:%M UTC", timestamp_ms).unwrap_or_default()
}

/// `2026-11-23T14:02:33.123Z`
pub fn rfc3339(timestamp_ms: i64) -> String {
    strftime("%FT%T.%LZ", timestamp_ms).unwrap_or_default()
}

/// The common letters of strftime; an unknown one is an error.
pub fn strftime(format: &str, timestamp_ms: i64) -> Result<String, String> {
    let at = civil(timestamp_ms);
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let part = match letters.next() {
            Some('Y') => format!("{:04}", at.year),
            Some('m') => format!("{:02}", at.month),
            Some('d') => format!("{:02}", at.day),
            Some('H') => format!("{:02}", at.hour),
            Some('M') => format!("{:02}", at.minute),
            Some('S') => format!("{:02}", at.second),
            Some('L') => format!("{:03}", at.millisecond),
            Some('F') => format!("{:04}-{:02}-{:02}", at.year, at.month, at.day),
            Some('T') => format!("{:02}:{:02}:{:02}", at.hour, at.minute, at.second),
            Some('z') => "+0000".to_owned(),
            Some('Z') => "UTC".to_owned(),
            Some('s') => timestamp_ms.div_euclid(1000).to_string(),
            Some('%') => "%".to_owned(),
            other => {
                let letter =
                    other.map_or_else(|| "nothing".to_owned(), |letter| format!("%{letter}"));
                return Err(format!(
                    "{letter} in strftime (known: %Y %m %d %H %M %S %L %F %T %z %Z %s)"
                ));
            }
        };
        text.push_str(&part);
    }
    Ok(text)
}

/// `90s`, `15m`, `1h30m`, `7d`, `500ms`: milliseconds. A bare number is none of these.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            _ => return None,
        };
        let milliseconds = number.parse::<f64>().ok()? * unit_ms as f64;
        if !(0.0..=9e15).contains(&milliseconds) {
            return None;
        }
        total = total.checked_add(milliseconds as i64)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A moment: 13 digits are milliseconds, 10 seconds, 19 nanoseconds; `2026-11-23`, `2026-11-23T14:02:33.5Z`;
/// `-1h` is that long ago.
pub fn parse_instant_ms(text: &str, now_ms: i64) -> Result<i64, String> {
    let wrong = || {
        format!(
            "`{text}` is no moment (seconds or milliseconds since 1970, 2026-11-23, 2026-11-23T14:02:33Z, or -1h for \
             an hour ago)"
        )
    };
    if let Some(ago) = text.strip_prefix('-') {
        return Ok(now_ms - parse_duration_ms(ago).ok_or_else(wrong)?);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        let number: i64 = text.parse().map_err(|_| wrong())?;
        return Ok(match text.len() {
            10 => number * 1000,
            19 => number / 1_000_000,
            _ => number,
        });
    }
    parse_date_ms(text).ok_or_else(wrong)
}

fn parse_date_ms(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.strip_suffix('Z').unwrap_or(time)),
        None => (text, "00:00"),
    };
    let numbers = |text: &str, separator: char| -> Option<Vec<i64>> {
        text.split(separator)
            .map(|part| part.parse().ok())
            .collect()
    };
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts = numbers(time, ':')?;
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second);
    in_range.then(|| {
        days_since_1970(year, month, day) * DAY_MS
            + (hour * 3600 + minute * 60 + second) * 1000
            + milliseconds
    })
}

/// `24 h`, `7 d`, `15 m`: the largest unit that divides it.
pub fn human_duration(milliseconds: i64) -> String {
    for (unit_ms, unit) in [(DAY_MS, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        // A day is said as 24 h, as the settings' own documentation says it.
        let least = if unit == "d" { 2 * unit_ms } else { unit_ms };
        if milliseconds >= least && milliseconds % unit_ms == 0 {
            return format!("{} {unit}", milliseconds / unit_ms);
        }
    }
    format!("{milliseconds} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_survives_the_way_there_and_back() {
        for day in (-200_000..200_000).step_by(37) {
            let at = civil(day * DAY_MS);
            assert_eq!(days_since_1970(at.year, at.month, at.day), day);
        }
    }

    #[test]
    fn moments_are_read_in_every_spelling() {
        let now = 1_700_000_000_000;
        assert_eq!(parse_instant_ms("1622505600", now), Ok(1_622_505_600_000));
        assert_eq!(
            parse_instant_ms("1622505600123", now),
            Ok(1_622_505_600_123)
        );
        assert_eq!(
            parse_instant_ms("1622505600123000000", now),
            Ok(1_622_505_600_123)
        );
        assert_eq!(parse_instant_ms("2021-06-01", now), Ok(1_622_505_600_000));
        assert_eq!(
            parse_instant_ms("2021-06-01T00:00:01.5Z", now),
            Ok(1_622_505_601_500)
        );
        assert_eq!(parse_instant_ms("-1h30m", now), Ok(now - 5_400_000));
        assert_eq!(parse_instant_ms("0", now), Ok(0));
        for wrong in ["", "yesterday", "-", "-1x", "2021-13-01", "2021-06", "-5"] {
            assert!(parse_instant_ms(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_instant_is_written_in_utc() {
        assert_eq!(rfc3339(1_622_505_601_500), "2021-06-01T00:00:01.500Z");
        assert_eq!(minute(1_622_505_601_500), "2021-06-01 00:00 UTC");
        assert_eq!(
            strftime("%s %%", 1_622_505_601_500),
            Ok("1622505601 %".to_owned())
        );
        assert!(strftime("%Q", 0).is_err());
    }

    #[test]
    fn a_duration_is_said_in_its_largest_unit() {
        assert_eq!(human_duration(86_400_000), "24 h");
        assert_eq!(human_duration(604_800_000), "7 d");
        assert_eq!(human_duration(90_000), "90 s");
        assert_eq!(human_duration(1), "1 ms");
    }
}
