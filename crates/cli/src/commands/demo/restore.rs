//! A consumer that starts with nothing: it reads a topic from its start to its end and keeps the last value of every key.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::Client;
use crate::client::reader::{ReadOptions, Reader};
use crate::error::Result;
use crate::offset::{End, OffsetRange, Start};

/// How long the broker may wait for records: none are missing.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// The last value of every key.
pub type State = HashMap<Vec<u8>, Vec<u8>>;

/// What it took.
#[derive(Serialize)]
pub struct Restored {
    /// Of what.
    pub from: String,
    pub records: u64,
    /// As fetched: record batches, headers included.
    pub bytes: u64,
    pub seconds: f64,
    pub keys: u64,
}

/// Reads partition 0 of this topic, or view.
pub fn run(client: &mut Client, topic: &str, label: &str) -> Result<(Restored, State)> {
    let start = Instant::now();
    let info = client.topic(topic, false)?;
    let mut reader = Reader::new(ReadOptions {
        read_committed: false,
        with_control_records: false,
    });
    let all = OffsetRange {
        start: Start::Earliest,
        end: End::Latest,
    };
    reader.add(client, &info, &[0], all)?;
    let mut state = State::new();
    let mut records = 0;
    while !reader.is_done() {
        reader.poll(client, MAX_WAIT, &mut |record| {
            records += 1;
            let key = record.key.unwrap_or_default();
            match record.value {
                Some(value) => state.insert(key.to_vec(), value.to_vec()),
                None => state.remove(key),
            };
            Ok(true)
        })?;
    }
    let restored = Restored {
        from: label.to_owned(),
        records,
        bytes: reader.fetched_bytes(),
        seconds: start.elapsed().as_secs_f64(),
        keys: state.len() as u64,
    };
    Ok((restored, state))
}
