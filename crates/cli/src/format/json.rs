//! Records as JSON.
//!
//! `consume -f jsonl` writes what `produce --jsonl` reads. A tombstone is said twice, `"value":null` and
//! `"tombstone":true`; bytes that are not UTF-8 are `{"base64":"…"}`.

use serde::{Deserialize, Serialize};

use super::RecordView;
use crate::base64;

#[derive(Serialize)]
struct Written<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Option<Bytes>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<Bytes>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_size: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tombstone: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    control: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: Bytes,
    #[serde(default)]
    value: Option<Bytes>,
}

/// Text where it is text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Base64 { base64: String },
}

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_owned()),
            Err(_) => Bytes::Base64 {
                base64: base64::encode(bytes),
            },
        }
    }

    fn into_vec(self) -> Result<Vec<u8>, String> {
        match self {
            Bytes::Text(text) => Ok(text.into_bytes()),
            Bytes::Base64 { base64 } => {
                base64::decode(&base64).ok_or_else(|| format!("`{base64}` is not base64"))
            }
        }
    }
}

pub fn write(record: &RecordView<'_>, pretty: bool, meta_only: bool, out: &mut Vec<u8>) {
    let body = |bytes: Option<&[u8]>| (!meta_only).then(|| bytes.map(Bytes::of));
    let size = |bytes: Option<&[u8]>| {
        if meta_only {
            bytes.map(<[u8]>::len)
        } else {
            None
        }
    };
    let written = Written {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp_ms,
        key: body(record.key),
        value: body(record.value),
        key_size: size(record.key),
        value_size: size(record.value),
        tombstone: record.value.is_none() && !record.is_control,
        control: record.is_control,
        headers: if meta_only {
            Vec::new()
        } else {
            let header = |(key, value): &(&[u8], Option<&[u8]>)| Header {
                key: Bytes::of(key),
                value: value.map(Bytes::of),
            };
            record.headers.iter().map(header).collect()
        },
    };
    // Serializing these plain values into memory cannot fail.
    let text = if pretty {
        serde_json::to_vec_pretty(&written)
    } else {
        serde_json::to_vec(&written)
    };
    out.extend_from_slice(&text.unwrap_or_default());
    out.push(b'\n');
}

/// A record to be produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub partition: Option<i32>,
    pub timestamp_ms: Option<i64>,
}

/// Where a record was (topic, partition, offset) is not taken over: it will have a new place.
pub fn parse(line: &str) -> Result<InputRecord, String> {
    #[derive(Deserialize)]
    struct Read {
        #[serde(default)]
        key: Option<Bytes>,
        #[serde(default)]
        value: Option<Bytes>,
        #[serde(default)]
        tombstone: bool,
        #[serde(default)]
        headers: Vec<Header>,
        #[serde(default)]
        timestamp: Option<i64>,
    }
    let read: Read = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if read.tombstone && read.value.is_some() {
        return Err("a tombstone has no value, and this one has".to_owned());
    }
    let mut headers = Vec::new();
    for header in read.headers {
        headers.push((
            header.key.into_vec()?,
            header.value.map(Bytes::into_vec).transpose()?,
        ));
    }
    Ok(InputRecord {
        key: read.key.map(Bytes::into_vec).transpose()?,
        value: read.value.map(Bytes::into_vec).transpose()?,
        headers,
        partition: None,
        timestamp_ms: read.timestamp,
    })
}
