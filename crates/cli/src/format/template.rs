//! Percent format strings.
//!
//! | escape | what |
//! |---|---|
//! | `%t %k %v` (`%s` too) | topic, key, value; `{hex} {base64} {json}` |
//! | `%T %K %V` (`%S` too) | their lengths |
//! | `%h{..} %H` | each header, with `%k %v %K %V` inside; how many |
//! | `%p %o %e %i` | partition, offset, leader epoch, count from 1 |
//! | `%d` | timestamp in ms; `{strftime[%F %T]}` |
//! | `%x %y` | producer id and epoch |
//! | `%a{..}` | `compression`, `timestamp-type`, `transactional-bit`, `control-bit` |
//! | `%[ %| %]` | log start offset, last stable offset, high watermark |
//! | `%% %{ %}` | these characters |
//!
//! Numbers take `{ascii} {number} {hex8..hex64} {big8..big64} {little8..little64} {byte} {bool}`. `\t \n \r \\ \xNN`
//! are what they are everywhere. A null key or value is nothing at all; `{json}` says `null`.

use lastword_record::TimestampType;

use super::RecordView;
use crate::{base64, time};

/// A parsed format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub(super) Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Vec<u8>),
    Text(TextField, TextAs),
    Number(NumberField, NumberAs),
    Time(String),
    Attribute(Attribute),
    Headers(Template),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    Topic,
    Key,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextAs {
    Raw,
    Hex,
    Base64,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberField {
    TopicLength,
    KeyLength,
    ValueLength,
    HeaderCount,
    Partition,
    Offset,
    LeaderEpoch,
    Index,
    Timestamp,
    ProducerId,
    ProducerEpoch,
    LogStartOffset,
    LastStableOffset,
    HighWatermark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberAs {
    Ascii,
    /// So many hex digits.
    Hex(usize),
    /// So many bytes.
    Big(usize),
    Little(usize),
    Bool,
    /// Only when reading: a length that is known beforehand.
    Fixed(usize),
}

impl NumberAs {
    /// Written with as many digits as it takes.
    pub(super) fn is_digits(self) -> bool {
        matches!(self, NumberAs::Ascii | NumberAs::Bool)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Compression,
    TimestampType,
    Transactional,
    Control,
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '\\' => literal.push(parse_backslash(&mut rest)?),
                '%' => {
                    let escape = rest
                        .chars()
                        .next()
                        .ok_or("a lone % at the end (%% is a percent sign)")?;
                    rest = &rest[escape.len_utf8()..];
                    if let '%' | '{' | '}' = escape {
                        literal.push(escape as u8);
                        continue;
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    let modifier = parse_braces(&mut rest)?;
                    parts.push(parse_escape(escape, modifier)?);
                }
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template(parts))
    }

    pub fn write(&self, record: &RecordView<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Text(field, text_as) => write_text(text_of(*field, record), *text_as, out),
                Part::Number(field, number_as) => {
                    write_number(number_of(*field, record), *number_as, out)
                }
                Part::Time(format) => {
                    let text = time::strftime(format, record.timestamp_ms).unwrap_or_default();
                    out.extend_from_slice(text.as_bytes());
                }
                Part::Attribute(attribute) => {
                    out.extend_from_slice(attribute_of(*attribute, record).as_bytes());
                }
                Part::Headers(inner) => {
                    for (key, value) in &record.headers {
                        let header = RecordView {
                            key: Some(key),
                            value: *value,
                            ..RecordView::default()
                        };
                        inner.write(&header, out);
                    }
                }
            }
        }
    }
}

fn parse_backslash(rest: &mut &str) -> Result<u8, String> {
    let letter = rest
        .chars()
        .next()
        .ok_or("a lone \\ at the end (\\\\ is a backslash)")?;
    *rest = &rest[letter.len_utf8()..];
    Ok(match letter {
        't' => b'\t',
        'n' => b'\n',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits = rest.get(..2).ok_or("\\x wants two hex digits")?;
            *rest = &rest[2..];
            u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?
        }
        other => return Err(format!("\\{other} is unknown (\\t \\n \\r \\0 \\\\ \\xNN)")),
    })
}

/// Takes `{...}` off the front, if it is there. Braces inside nest.
fn parse_braces<'a>(rest: &mut &'a str) -> Result<Option<&'a str>, String> {
    let Some(inside) = rest.strip_prefix('{') else {
        return Ok(None);
    };
    let mut depth = 1;
    let mut after_percent = false;
    for (at, letter) in inside.char_indices() {
        match letter {
            // `%{` and `%}` are characters, not braces.
            '{' if !after_percent => depth += 1,
            '}' if !after_percent => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            *rest = &inside[at + 1..];
            return Ok(Some(&inside[..at]));
        }
        after_percent = letter == '%' && !after_percent;
    }
    Err(format!("`{{{inside}` has no closing brace"))
}

fn parse_escape(escape: char, modifier: Option<&str>) -> Result<Part, String> {
    use NumberField as N;
    let text = |field| Ok(Part::Text(field, parse_text_as(modifier)?));
    let number = |field| Ok(Part::Number(field, parse_number_as(modifier)?));
    match escape {
        't' => text(TextField::Topic),
        'k' => text(TextField::Key),
        'v' | 's' => text(TextField::Value),
        'T' => number(N::TopicLength),
        'K' => number(N::KeyLength),
        'V' | 'S' => number(N::ValueLength),
        'H' => number(N::HeaderCount),
        'p' => number(N::Partition),
        'o' => number(N::Offset),
        'e' => number(N::LeaderEpoch),
        'i' => number(N::Index),
        'x' => number(N::ProducerId),
        'y' => number(N::ProducerEpoch),
        '[' => number(N::LogStartOffset),
        '|' => number(N::LastStableOffset),
        ']' => number(N::HighWatermark),
        'd' => match modifier.and_then(|text| text.strip_prefix("strftime")) {
            Some(format) => {
                let format = strip_brackets(format).ok_or_else(|| {
                    format!("write %d{{strftime[...]}}, not {{strftime{format}}}")
                })?;
                time::strftime(format, 0)?;
                Ok(Part::Time(format.to_owned()))
            }
            None => number(N::Timestamp),
        },
        'a' => Ok(Part::Attribute(match modifier.unwrap_or_default() {
            "compression" => Attribute::Compression,
            "timestamp-type" => Attribute::TimestampType,
            "transactional-bit" => Attribute::Transactional,
            "control-bit" => Attribute::Control,
            other => {
                return Err(format!(
                    "%a{{{other}}} is unknown (compression, timestamp-type, transactional-bit, control-bit)"
                ));
            }
        })),
        'h' => {
            let inner = modifier.ok_or("%h wants a format for each header, as in %h{%k=%v }")?;
            let inner = Template::parse(inner)?;
            let fits = |part: &Part| match part {
                Part::Literal(_) => true,
                Part::Text(field, _) => *field != TextField::Topic,
                Part::Number(field, _) => matches!(field, N::KeyLength | N::ValueLength),
                _ => false,
            };
            if !inner.0.iter().all(fits) {
                return Err("only %k %v %K %V stand inside %h{..}".to_owned());
            }
            Ok(Part::Headers(inner))
        }
        other => Err(format!(
            "%{other} is unknown (%t %k %v %h{{}} %p %o %e %d %a{{}} %x %y %i, lengths %T %K %V %H, %[ %| %])"
        )),
    }
}

/// `[x]`, `[[x]]`, `#x#`: whatever stands around it must be the same on both sides.
fn strip_brackets(text: &str) -> Option<&str> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.or_else(|| text.strip_prefix('#')?.strip_suffix('#'))
}

fn parse_text_as(modifier: Option<&str>) -> Result<TextAs, String> {
    match modifier {
        None => Ok(TextAs::Raw),
        Some("hex") => Ok(TextAs::Hex),
        Some("base64") => Ok(TextAs::Base64),
        Some("json") => Ok(TextAs::Json),
        Some(other) => Err(format!(
            "{{{other}}} is unknown for text (hex, base64, json)"
        )),
    }
}

fn parse_number_as(modifier: Option<&str>) -> Result<NumberAs, String> {
    let Some(text) = modifier else {
        return Ok(NumberAs::Ascii);
    };
    let width = |bits: &str| match bits {
        "8" => Some(1),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        _ => None,
    };
    let known = match text {
        "ascii" | "number" => Some(NumberAs::Ascii),
        "byte" => Some(NumberAs::Big(1)),
        "bool" => Some(NumberAs::Bool),
        "hex4" => Some(NumberAs::Hex(1)),
        _ => None,
    };
    let sized = || {
        if let Some(bits) = text.strip_prefix("hex") {
            width(bits).map(|bytes| NumberAs::Hex(2 * bytes))
        } else if let Some(bits) = text.strip_prefix("big") {
            width(bits).map(NumberAs::Big)
        } else if let Some(bits) = text.strip_prefix("little") {
            width(bits).map(NumberAs::Little)
        } else {
            text.parse().ok().map(NumberAs::Fixed)
        }
    };
    known.or_else(sized).ok_or_else(|| {
        format!("{{{text}}} is unknown for numbers (ascii, hex64, big32, little16, byte, bool)")
    })
}

fn text_of<'a>(field: TextField, record: &RecordView<'a>) -> Option<&'a [u8]> {
    match field {
        TextField::Topic => Some(record.topic.as_bytes()),
        TextField::Key => record.key,
        TextField::Value => record.value,
    }
}

fn number_of(field: NumberField, record: &RecordView<'_>) -> i64 {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as i64);
    match field {
        NumberField::TopicLength => record.topic.len() as i64,
        NumberField::KeyLength => length(record.key),
        NumberField::ValueLength => length(record.value),
        NumberField::HeaderCount => record.headers.len() as i64,
        NumberField::Partition => i64::from(record.partition),
        NumberField::Offset => record.offset,
        NumberField::LeaderEpoch => i64::from(record.leader_epoch),
        NumberField::Index => record.index as i64,
        NumberField::Timestamp => record.timestamp_ms,
        NumberField::ProducerId => record.producer_id,
        NumberField::ProducerEpoch => i64::from(record.producer_epoch),
        NumberField::LogStartOffset => record.log_start_offset,
        NumberField::LastStableOffset => record.last_stable_offset,
        NumberField::HighWatermark => record.high_watermark,
    }
}

fn attribute_of(attribute: Attribute, record: &RecordView<'_>) -> &'static str {
    match attribute {
        Attribute::Compression => record.compression.name(),
        Attribute::TimestampType => match record.timestamp_type {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        },
        Attribute::Transactional if record.is_transactional => "transactional",
        Attribute::Transactional => "not transactional",
        Attribute::Control if record.is_control => "control",
        Attribute::Control => "not control",
    }
}

fn write_text(bytes: Option<&[u8]>, text_as: TextAs, out: &mut Vec<u8>) {
    let bytes = match (bytes, text_as) {
        (Some(bytes), _) => bytes,
        (None, TextAs::Json) => return out.extend_from_slice(b"null"),
        (None, _) => return,
    };
    match text_as {
        TextAs::Raw => out.extend_from_slice(bytes),
        TextAs::Hex => out.extend_from_slice(hex(bytes).as_bytes()),
        TextAs::Base64 => out.extend_from_slice(base64::encode(bytes).as_bytes()),
        // What is JSON already stays as it is; anything else becomes a string.
        TextAs::Json if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() => {
            out.extend_from_slice(bytes);
        }
        TextAs::Json => {
            let text = String::from_utf8_lossy(bytes);
            out.extend_from_slice(&serde_json::to_vec(&text).unwrap_or_default());
        }
    }
}

fn write_number(number: i64, number_as: NumberAs, out: &mut Vec<u8>) {
    let big = number.to_be_bytes();
    let little = number.to_le_bytes();
    match number_as {
        NumberAs::Ascii | NumberAs::Fixed(_) => {
            out.extend_from_slice(number.to_string().as_bytes())
        }
        NumberAs::Hex(digits) => {
            let text = format!("{number:016x}");
            out.extend_from_slice(&text.as_bytes()[16 - digits.min(16)..]);
        }
        NumberAs::Big(bytes) => out.extend_from_slice(&big[8 - bytes.min(8)..]),
        NumberAs::Little(bytes) => out.extend_from_slice(&little[..bytes.min(8)]),
        NumberAs::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
    }
}

/// Lower case, without separators.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
