//! Format strings read back: what `consume -f` printed, `produce -f` takes.
//!
//! A field without a length runs to the text that follows it in the format. `%K` before `%k` (and `%V`, `%H`) says a
//! length first, in digits or as `{big32}` and the like; `%k{4}`-style fixed lengths are written `%K{4}%k`.
//! Only `%k %v %K %V %p %d %h{..} %H` can be read; the others are facts that only the broker knows.

use std::io::{self, BufRead, Read};

use super::json::InputRecord;
use super::template::{NumberAs, NumberField, Part, Template, TextAs, TextField};
use crate::base64;

/// The largest single field, so that a wrong length does not become a wish for memory.
const MAX_FIELD_BYTES: usize = 64 << 20;

/// A format that can be read.
#[derive(Clone, Debug)]
pub struct Reader {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Default)]
struct Lengths {
    key: Option<usize>,
    value: Option<usize>,
}

impl Reader {
    pub fn new(template: Template) -> Result<Reader, String> {
        check(&template.0, true)?;
        if template.0.is_empty() {
            return Err("an empty format reads nothing".to_owned());
        }
        Ok(Reader { parts: template.0 })
    }

    /// The next record; `None` at the end of the input.
    pub fn next(&self, input: &mut impl BufRead) -> Result<Option<InputRecord>, String> {
        if fill(input)?.is_empty() {
            return Ok(None);
        }
        let mut record = InputRecord::default();
        let mut lengths = Lengths::default();
        let mut header_count = None;
        let mut literal_was_read = false;
        for (at, part) in self.parts.iter().enumerate() {
            let until = delimiter(&self.parts, at);
            if std::mem::take(&mut literal_was_read) {
                continue;
            }
            match part {
                Part::Literal(bytes) => read_literal(input, bytes, at + 1 == self.parts.len())?,
                Part::Text(field, text_as) => {
                    let length = match field {
                        TextField::Key => &mut lengths.key,
                        _ => &mut lengths.value,
                    };
                    let length = length.take();
                    literal_was_read = length.is_none() && until.is_some();
                    let bytes = decode(read_text(input, length, until)?, *text_as)?;
                    match field {
                        TextField::Key => record.key = Some(bytes),
                        _ => record.value = Some(bytes),
                    }
                }
                Part::Number(field, number_as) => {
                    literal_was_read = number_as.is_digits();
                    let number = read_number(input, *number_as, until)?;
                    match field {
                        NumberField::KeyLength => lengths.key = Some(size(number)?),
                        NumberField::ValueLength => lengths.value = Some(size(number)?),
                        NumberField::HeaderCount => header_count = Some(size(number)?),
                        NumberField::Timestamp => record.timestamp_ms = Some(number),
                        _ => {
                            let partition = i32::try_from(number);
                            record.partition =
                                Some(partition.map_err(|_| format!("{number} is no partition"))?);
                        }
                    }
                }
                Part::Headers(inner) => {
                    for _ in 0..header_count.take().unwrap_or(1) {
                        record.headers.push(read_header(input, &inner.0)?);
                    }
                }
                Part::Time(_) | Part::Attribute(_) => {}
            }
        }
        Ok(Some(record))
    }
}

/// Refuses what cannot be read, before anything is.
fn check(parts: &[Part], is_record: bool) -> Result<(), String> {
    let mut sized: Vec<TextField> = Vec::new();
    let mut has_count = false;
    for (at, part) in parts.iter().enumerate() {
        let ends = delimiter(parts, at).is_some();
        match part {
            Part::Literal(_) => {}
            Part::Text(TextField::Topic, _) | Part::Time(_) | Part::Attribute(_) => {
                return Err("only %k %v %K %V %p %d %h{..} %H can be read".to_owned());
            }
            Part::Text(field, _) => {
                let is_last = is_record && at + 1 == parts.len();
                if !sized.contains(field) && !ends && !is_last {
                    return Err(
                        "a field without a length must be followed by text that ends it".to_owned(),
                    );
                }
            }
            Part::Number(field, number_as) => {
                match field {
                    NumberField::KeyLength => sized.push(TextField::Key),
                    NumberField::ValueLength => sized.push(TextField::Value),
                    NumberField::HeaderCount => has_count = true,
                    NumberField::Partition | NumberField::Timestamp => {}
                    _ => return Err("only %k %v %K %V %p %d %h{..} %H can be read".to_owned()),
                }
                if number_as.is_digits() && !ends {
                    return Err(
                        "a number in digits must be followed by text that ends it".to_owned()
                    );
                }
            }
            Part::Headers(inner) => {
                if !has_count {
                    return Err(
                        "%h{..} wants %H before it, or no one knows how many there are".to_owned(),
                    );
                }
                check(&inner.0, false)?;
            }
        }
    }
    Ok(())
}

/// The text that ends a field. The very last one of a record may be missing at the end of the input.
#[derive(Clone, Copy)]
struct Delimiter<'a> {
    bytes: &'a [u8],
    is_last: bool,
}

fn delimiter(parts: &[Part], at: usize) -> Option<Delimiter<'_>> {
    match parts.get(at + 1) {
        Some(Part::Literal(bytes)) => Some(Delimiter {
            bytes,
            is_last: at + 2 == parts.len(),
        }),
        _ => None,
    }
}

fn read_header(
    input: &mut impl BufRead,
    parts: &[Part],
) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    let (mut key, mut value) = (Vec::new(), None);
    let mut lengths = Lengths::default();
    let mut literal_was_read = false;
    for (at, part) in parts.iter().enumerate() {
        let until = delimiter(parts, at).map(|until| Delimiter {
            is_last: false,
            ..until
        });
        if std::mem::take(&mut literal_was_read) {
            continue;
        }
        match part {
            Part::Literal(bytes) => read_literal(input, bytes, false)?,
            Part::Text(field, text_as) => {
                let is_key = *field == TextField::Key;
                let length = if is_key {
                    lengths.key.take()
                } else {
                    lengths.value.take()
                };
                literal_was_read = length.is_none() && until.is_some();
                let bytes = decode(read_text(input, length, until)?, *text_as)?;
                if is_key {
                    key = bytes;
                } else {
                    value = Some(bytes);
                }
            }
            Part::Number(field, number_as) => {
                literal_was_read = number_as.is_digits();
                let length = Some(size(read_number(input, *number_as, until)?)?);
                match field {
                    NumberField::KeyLength => lengths.key = length,
                    _ => lengths.value = length,
                }
            }
            Part::Headers(_) | Part::Time(_) | Part::Attribute(_) => {}
        }
    }
    Ok((key, value))
}

/// The last literal of a record may be missing at the end of the input: a file need not end with a newline.
fn read_literal(input: &mut impl BufRead, expected: &[u8], is_last: bool) -> Result<(), String> {
    if is_last && fill(input)?.is_empty() {
        return Ok(());
    }
    let found = read_exact(input, expected.len())?;
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "expected {:?}, found {:?}",
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(&found)
    ))
}

fn read_text(
    input: &mut impl BufRead,
    length: Option<usize>,
    until: Option<Delimiter<'_>>,
) -> Result<Vec<u8>, String> {
    match (length, until) {
        (Some(length), _) => read_exact(input, length),
        (None, Some(until)) => read_until(input, until),
        (None, None) => {
            let mut bytes = Vec::new();
            input
                .take(MAX_FIELD_BYTES as u64)
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?;
            Ok(bytes)
        }
    }
}

fn read_number(
    input: &mut impl BufRead,
    number_as: NumberAs,
    until: Option<Delimiter<'_>>,
) -> Result<i64, String> {
    let fold = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0i64, |number, byte| number << 8 | i64::from(*byte))
    };
    match number_as {
        NumberAs::Fixed(number) => Ok(number as i64),
        NumberAs::Big(bytes) => Ok(fold(&read_exact(input, bytes)?)),
        NumberAs::Little(bytes) => {
            let mut found = read_exact(input, bytes)?;
            found.reverse();
            Ok(fold(&found))
        }
        NumberAs::Hex(digits) => {
            let text = String::from_utf8_lossy(&read_exact(input, digits)?).into_owned();
            i64::from_str_radix(&text, 16).map_err(|_| format!("`{text}` is no hex number"))
        }
        NumberAs::Ascii | NumberAs::Bool => {
            let until = until.ok_or("a number in digits has no end")?;
            let text = read_until(input, until)?;
            let text = String::from_utf8_lossy(&text).into_owned();
            text.parse().map_err(|_| format!("`{text}` is no number"))
        }
    }
}

fn size(number: i64) -> Result<usize, String> {
    usize::try_from(number)
        .ok()
        .filter(|bytes| *bytes <= MAX_FIELD_BYTES)
        .ok_or_else(|| format!("a length of {number} is out of range"))
}

fn decode(bytes: Vec<u8>, text_as: TextAs) -> Result<Vec<u8>, String> {
    match text_as {
        TextAs::Raw | TextAs::Json => Ok(bytes),
        TextAs::Hex => {
            let text = std::str::from_utf8(&bytes).map_err(|_| "not hex".to_owned())?;
            let digits = |at: usize| {
                let pair = text.get(at..at + 2)?;
                u8::from_str_radix(pair, 16).ok()
            };
            let decoded: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
            decoded.ok_or_else(|| format!("`{text}` is not hex"))
        }
        TextAs::Base64 => {
            let text = String::from_utf8_lossy(&bytes);
            base64::decode(&text).ok_or_else(|| format!("`{text}` is not base64"))
        }
    }
}

fn fill(input: &mut impl BufRead) -> Result<&[u8], String> {
    loop {
        // Asked twice because a borrow that is returned in one arm only is not understood yet.
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    input.fill_buf().map_err(|error| error.to_string())
}

fn read_exact(input: &mut impl BufRead, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input
        .take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() < length {
        return Err(format!(
            "the input ends {} bytes into {length}",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// Reads a field and the text that ends it.
fn read_until(input: &mut impl BufRead, until: Delimiter<'_>) -> Result<Vec<u8>, String> {
    let last = *until.bytes.last().ok_or("an empty separator")?;
    let mut bytes = Vec::new();
    loop {
        let read = input
            .by_ref()
            .take(MAX_FIELD_BYTES as u64)
            .read_until(last, &mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.ends_with(until.bytes) {
            bytes.truncate(bytes.len() - until.bytes.len());
            return Ok(bytes);
        }
        if read == 0 && until.is_last {
            return Ok(bytes);
        }
        if read == 0 {
            return Err("the input ends inside a record".to_owned());
        }
        if bytes.len() >= MAX_FIELD_BYTES {
            return Err(format!("a field of more than {MAX_FIELD_BYTES} bytes"));
        }
    }
}
