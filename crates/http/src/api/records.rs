//! `GET /v1/topics/{topic}/partitions/{partition}/records`: committed records, for people who look at a log.
//!
//! What one request reads and answers is bounded, whatever a filter leaves: `next_offset` goes on. Long keys and values
//! are cut, and say so; a lookup by key gives a value whole. Control records and records of aborted transactions are not
//! shown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::routing::get;
use lastword_broker::Broker;
use lastword_broker::partition::Partition;
use lastword_record::{BatchHeader, Decompressor, Record, RecordBatches, RecordError};
use lastword_storage::{FetchData, Isolation, StorageError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::keys::bytes;
use crate::endpoint::{Endpoint, JSON};
use crate::error::HttpError;
use crate::extract::{Param, Query, Running, blocking};

const DEFAULT_LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 500;
/// What one request looks through: then it answers with what it has found.
const MOST_SCANNED_BYTES: usize = 16 << 20;
const READ_BYTES: usize = 256 << 10;
const LONGEST_KEY: usize = 1 << 10;
const LONGEST_VALUE: usize = 4 << 10;
const LONGEST_HEADER: usize = 256;
const MOST_HEADERS: usize = 16;
/// How long a request waits for the state view to be built.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);
const VIEW_POLL: Duration = Duration::from_millis(5);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        method: "GET",
        path: "/v1/topics/{topic}/partitions/{partition}/records",
        summary: "Committed records from an offset or a time on.",
        query: &[
            (
                "offset",
                "the first offset; the start of the log, unless said",
            ),
            (
                "time",
                "instead: the first record with this time or a later one",
            ),
            (
                "limit",
                "how many records at the most: 50 unless asked, 500 at the most",
            ),
            (
                "view",
                "all, unless said, or state: only the last word on each key",
            ),
            ("key", "only records whose key has this text in it"),
        ],
        answers: JSON,
        route: get(records),
    }]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    offset: Option<i64>,
    time: Option<i64>,
    limit: Option<usize>,
    #[serde(default)]
    view: View,
    key: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum View {
    #[default]
    All,
    State,
}

#[derive(Serialize)]
struct Records {
    topic: String,
    partition: i32,
    log_start_offset: i64,
    last_stable_offset: i64,
    records: Vec<Shown>,
    /// Where the next request goes on.
    next_offset: i64,
    /// There was nothing behind it.
    is_end: bool,
    scanned_bytes: usize,
}

#[derive(Serialize)]
struct Shown {
    offset: i64,
    timestamp_ms: i64,
    key: Option<Value>,
    value: Option<Value>,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    /// The key or the value is longer than what is shown.
    is_cut: bool,
    headers: Vec<Value>,
}

async fn records(
    Running(broker): Running,
    Param((topic, number)): Param<(String, i32)>,
    Query(options): Query<Options>,
) -> Result<Json<Records>, HttpError> {
    let partition = broker.partitions.find(&topic, number)?;
    blocking(move || read(&broker, &partition, &options).map(Json)).await?
}

fn read(
    broker: &Broker,
    partition: &Arc<Partition>,
    options: &Options,
) -> Result<Records, HttpError> {
    let offsets = partition.offsets();
    let end = offsets.last_stable_offset;
    let asked = match (options.offset, options.time) {
        (Some(_), Some(_)) => {
            return Err(HttpError::invalid("an offset or a time, not both"));
        }
        (offset, None) => offset.unwrap_or(0),
        (None, Some(time_ms)) => partition
            .offset_for_timestamp(time_ms)?
            .map_or(end, |found| found.offset),
    };
    let mut answer = Records {
        topic: partition.topic_partition().topic.to_string(),
        partition: partition.topic_partition().partition,
        log_start_offset: offsets.log_start_offset,
        last_stable_offset: end,
        records: Vec::new(),
        next_offset: asked.clamp(offsets.log_start_offset, end.max(offsets.log_start_offset)),
        is_end: false,
        scanned_bytes: 0,
    };
    let limit = options
        .limit
        .unwrap_or(DEFAULT_LIMIT)
        .clamp(1, LARGEST_LIMIT);
    let mut decompressor = Decompressor::new(broker.config.max_decompressed_bytes);
    let filter = options.key.as_deref().map(str::as_bytes);
    let deadline = Instant::now() + VIEW_TIMEOUT;
    let mut buffer = Vec::new();
    while answer.records.len() < limit && answer.scanned_bytes < MOST_SCANNED_BYTES {
        buffer.clear();
        let from = answer.next_offset;
        let data = fetch(broker, partition, options.view, from, deadline, &mut buffer)?;
        let Some(data) = data.filter(|_| !buffer.is_empty()) else {
            answer.is_end = true;
            break;
        };
        let mut page = Page {
            answer: &mut answer,
            limit,
            filter,
            data: &data,
            end,
        };
        page.take(&buffer, &mut decompressor)?;
        if answer.next_offset == from {
            answer.is_end = true;
            break;
        }
    }
    answer.is_end |= answer.next_offset >= end;
    Ok(answer)
}

/// Reads from an offset into `out`; none at the end.
fn fetch(
    broker: &Broker,
    partition: &Arc<Partition>,
    view: View,
    offset: i64,
    deadline: Instant,
    out: &mut Vec<u8>,
) -> Result<Option<FetchData>, HttpError> {
    let isolation = Isolation::LastStable;
    loop {
        let fetched = match view {
            View::All => partition.fetch(offset, READ_BYTES, true, isolation)?,
            View::State => {
                let views = &broker.state_views;
                partition.fetch_state(views, offset, READ_BYTES, true, isolation)?
            }
        };
        if fetched.waits_for_view && Instant::now() < deadline {
            std::thread::sleep(VIEW_POLL);
            continue;
        }
        if fetched.waits_for_view {
            let message = "the state view is still being built; ask again".to_owned();
            let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            return Err(HttpError::new(status, "REQUEST_TIMED_OUT", message));
        }
        return match (fetched.view, fetched.data) {
            (Some(view), _) => Ok(Some(view.read_into(&broker.state_views, out)?)),
            (None, Some(data)) => {
                let read = data.read_into(out);
                let log = partition.topic_partition().to_string();
                read.map_err(|error| StorageError::io("read", log, error))?;
                Ok(Some(data))
            }
            (None, None) => Ok(None),
        };
    }
}

/// What goes from one read into the answer.
struct Page<'a> {
    answer: &'a mut Records,
    limit: usize,
    filter: Option<&'a [u8]>,
    data: &'a FetchData,
    end: i64,
}

impl Page<'_> {
    fn take(&mut self, buffer: &[u8], decompressor: &mut Decompressor) -> Result<(), StorageError> {
        for batch in RecordBatches::new(buffer) {
            let batch = match batch {
                Ok(batch) => batch,
                // The last one of a read may be cut off.
                Err(RecordError::Truncated { .. }) => return Ok(()),
                Err(error) => return Err(corrupt(&error)),
            };
            let header = *batch.header();
            if header.base_offset >= self.end {
                return Ok(());
            }
            self.answer.scanned_bytes += batch.bytes().len();
            if !header.is_control() && !self.is_aborted(&header) {
                batch.verify_crc().map_err(|error| corrupt(&error))?;
                let records = batch.records(decompressor);
                for record in records.map_err(|error| corrupt(&error))? {
                    let record = record.map_err(|error| corrupt(&error))?;
                    if record.offset < self.answer.next_offset || !self.is_wanted(&record) {
                        continue;
                    }
                    self.answer.records.push(show(&record));
                    if self.answer.records.len() == self.limit {
                        self.answer.next_offset = record.offset + 1;
                        return Ok(());
                    }
                }
            }
            self.answer.next_offset = header.next_offset().max(self.answer.next_offset);
        }
        Ok(())
    }

    fn is_wanted(&self, record: &Record<'_>) -> bool {
        let Some(text) = self.filter.filter(|text| !text.is_empty()) else {
            return true;
        };
        let key = record.key.unwrap_or_default();
        key.windows(text.len()).any(|part| part == text)
    }

    fn is_aborted(&self, header: &BatchHeader) -> bool {
        header.is_transactional()
            && self.data.aborted_transactions.iter().any(|it| {
                it.producer_id == header.producer_id
                    && (it.first_offset..=it.last_offset).contains(&header.base_offset)
            })
    }
}

fn corrupt(error: &RecordError) -> StorageError {
    StorageError::CorruptBatch {
        reason: error.to_string(),
    }
}

fn show(record: &Record<'_>) -> Shown {
    let headers = record.headers.iter().take(MOST_HEADERS);
    let is_long = |part: Option<&[u8]>, most| part.is_some_and(|part| part.len() > most);
    Shown {
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key.map(|key| cut(key, LONGEST_KEY)),
        value: record.value.map(|value| cut(value, LONGEST_VALUE)),
        key_bytes: record.key.map(<[u8]>::len),
        value_bytes: record.value.map(<[u8]>::len),
        is_cut: is_long(record.key, LONGEST_KEY) || is_long(record.value, LONGEST_VALUE),
        headers: headers
            .map(|(name, value)| {
                let value = value.map(|value| cut(value, LONGEST_HEADER));
                json!({ "key": cut(name, LONGEST_HEADER), "value": value })
            })
            .collect(),
    }
}

/// The beginning of it; of a text, up to a character that is whole.
fn cut(whole: &[u8], most: usize) -> Value {
    let Some(part) = whole.get(..most) else {
        return bytes(whole);
    };
    match std::str::from_utf8(part) {
        Err(error) if error.error_len().is_none() => {
            bytes(part.get(..error.valid_up_to()).unwrap_or(part))
        }
        _ => bytes(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        assert_eq!(cut(b"short", 10), json!("short"));
        assert_eq!(cut("ab\u{fc}".as_bytes(), 3), json!("ab"));
        assert_eq!(cut(&[0xff; 4], 3), json!({ "base64": "////" }));
    }
}
