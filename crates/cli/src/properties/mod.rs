//! `name=value` settings, with the units people write.
//!
//! Kafka stores bare numbers. `64MiB` and `7d` are translated here, by what the setting's name says it measures, so
//! that what is stored is what Kafka would store.

use crate::time::parse_duration_ms;

#[cfg(test)]
mod tests;

/// Splits `name=value` and translates units.
pub fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        format!("`{text}` has no `=` (write name=value, as in cleanup.policy=compact)")
    })?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err(format!("`{text}` has no name before the `=`"));
    }
    Ok((name.to_owned(), translate(name, value)?))
}

/// A value as Kafka stores it.
pub fn translate(name: &str, value: &str) -> Result<String, String> {
    let is_plain = value
        .strip_prefix('-')
        .unwrap_or(value)
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    if is_plain || value.is_empty() {
        return Ok(value.to_owned());
    }
    let unit_ms = match name.rsplit('.').next() {
        Some("ms") => 1,
        Some("seconds") => 1000,
        Some("minutes") => 60_000,
        Some("hours") => 3_600_000,
        _ => 0,
    };
    if unit_ms > 0 {
        let milliseconds = parse_duration_ms(value).ok_or_else(|| {
            format!("{name}: `{value}` is no time (a number, or 500ms, 90s, 15m, 24h, 7d)")
        })?;
        return Ok((milliseconds / unit_ms).to_string());
    }
    // `log.cleaner.io.max.bytes.per.second` is a floating point number in Kafka and may be written as one.
    let measures_bytes =
        name.ends_with(".bytes") || name.ends_with(".size") || name.contains(".bytes.");
    if measures_bytes && value.parse::<f64>().is_err() {
        return parse_size(value)
            .map(|bytes| bytes.to_string())
            .ok_or_else(|| {
                format!("{name}: `{value}` is no size (a number, or 512KiB, 64MiB, 1GiB)")
            });
    }
    Ok(value.to_owned())
}

/// `64MiB`, `1 GB`, `512k`: bytes. `k`, `m`, `g` alone are powers of two, as in Kafka's and Java's own tools.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
