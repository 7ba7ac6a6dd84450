//! How records are written by `consume` and read by `produce`.
//!
//! - [`template`]: the percent format strings, written.
//! - [`read`]: the same strings, read back.
//! - [`json`]: one object a record, both ways.
//!
//! A format is parsed once, before the broker is asked for anything, so a slip is found at once.

pub mod json;
pub mod read;
pub mod template;

#[cfg(test)]
mod tests;

use lastword_record::{CompressionType, TimestampType};

use self::template::Template;

/// Everything that can be said about one record.
#[derive(Clone, Debug)]
pub struct RecordView<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub timestamp_type: TimestampType,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
    pub leader_epoch: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub compression: CompressionType,
    pub is_transactional: bool,
    pub is_control: bool,
    pub log_start_offset: i64,
    pub last_stable_offset: i64,
    pub high_watermark: i64,
    /// Counts the records written, from 1.
    pub index: u64,
}

impl Default for RecordView<'_> {
    fn default() -> Self {
        RecordView {
            topic: "",
            partition: 0,
            offset: -1,
            timestamp_ms: -1,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
            leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            compression: CompressionType::None,
            is_transactional: false,
            is_control: false,
            log_start_offset: -1,
            last_stable_offset: -1,
            high_watermark: -1,
            index: 0,
        }
    }
}

/// A record format.
#[derive(Clone, Debug)]
pub enum RecordFormat {
    Json { pretty: bool },
    Table,
    Template(Template),
}

impl RecordFormat {
    /// A word (`json`, `jsonl`, `raw`, `hex`, `table`) or a format string.
    pub fn parse(text: &str, is_terminal: bool) -> Result<RecordFormat, String> {
        let template = match text {
            "json" => {
                return Ok(RecordFormat::Json {
                    pretty: is_terminal,
                });
            }
            "jsonl" => return Ok(RecordFormat::Json { pretty: false }),
            "table" => return Ok(RecordFormat::Table),
            "raw" => "%v\\n",
            "hex" => "%k{hex} %v{hex}\\n",
            format => format,
        };
        Ok(RecordFormat::Template(Template::parse(template)?))
    }

    /// Appends one record to `out`. Key and value are left out when only the frame around them is wanted.
    pub fn write(&self, record: &RecordView<'_>, meta_only: bool, out: &mut Vec<u8>) {
        match self {
            RecordFormat::Json { pretty } => json::write(record, *pretty, meta_only, out),
            RecordFormat::Table => write_row(record, meta_only, out),
            RecordFormat::Template(template) => template.write(record, out),
        }
    }
}

/// A stream cannot know its widest cell, so these columns have widths that fit most.
fn write_row(record: &RecordView<'_>, meta_only: bool, out: &mut Vec<u8>) {
    if record.index == 1 {
        let value = if meta_only { "VALUE-SIZE" } else { "VALUE" };
        let header = format!(
            "{:>4}  {:>10}  {:<24}  {:<20}  {value}\n",
            "PART", "OFFSET", "TIMESTAMP", "KEY"
        );
        out.extend_from_slice(header.as_bytes());
    }
    let text = |bytes: Option<&[u8]>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'"),
            Err(_) => format!("0x{}", template::hex(bytes)),
        },
    };
    let value = match (meta_only, record.value) {
        (true, Some(value)) => value.len().to_string(),
        (_, value) => text(value),
    };
    let line = format!(
        "{:>4}  {:>10}  {:<24}  {:<20}  {value}\n",
        record.partition,
        record.offset,
        crate::time::rfc3339(record.timestamp_ms),
        text(record.key),
    );
    out.extend_from_slice(line.as_bytes());
}
