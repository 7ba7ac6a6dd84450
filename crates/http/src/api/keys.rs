//! `GET /v1/topics/{topic}/keys/{key}`: the last committed record of a key.
//!
//! A key that was never written, or of which nothing is left, is 404 `NO_SUCH_KEY`; one that was deleted, and whose
//! tombstone is still there, is 200 with `"deleted": true`. Bytes that are no UTF-8 stand as `{"base64": ".."}`, as
//! everywhere.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::routing::get;
use lastword_broker::error_map::ApiError;
use lastword_broker::key_lookups::Located;
use lastword_broker::stats::LookupResult;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, JSON};
use crate::error::HttpError;
use crate::extract::{Param, Query, Running, blocking};

const LONGEST_KEY_BYTES: usize = 64 << 10;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const PARTITION: (&str, &str) = ("partition", "looks in this one only, and not in all");
    const ENCODING: (&str, &str) = (
        "encoding",
        "how the key is written in the path: text, unless said, or hex",
    );
    let endpoint = |path, summary, query, route| Endpoint {
        method: "GET",
        path,
        summary,
        query,
        answers: JSON,
        route,
    };
    vec![
        endpoint(
            "/v1/topics/{topic}/keys/{key}",
            "The last committed record of a key of a compacted topic.",
            &[ENCODING, PARTITION],
            get(look_up),
        ),
        endpoint(
            "/v1/topics/{topic}/keys/",
            "The same of the empty key.",
            &[ENCODING, PARTITION],
            get(look_up_empty),
        ),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    encoding: Encoding,
    partition: Option<i32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Text,
    Hex,
}

async fn look_up_empty(
    running: Running,
    Param(topic): Param<String>,
    options: Query<Options>,
) -> Result<Json<Value>, HttpError> {
    look_up(running, Param((topic, String::new())), options).await
}

async fn look_up(
    Running(broker): Running,
    Param((topic, key)): Param<(String, String)>,
    Query(options): Query<Options>,
) -> Result<Json<Value>, HttpError> {
    let key = match options.encoding {
        Encoding::Text => key.into_bytes(),
        Encoding::Hex => hex(&key)
            .ok_or_else(|| HttpError::invalid("the key is no hex: two digits for each byte"))?,
    };
    if key.len() > LONGEST_KEY_BYTES {
        return Err(HttpError::invalid("the key is longer than 64 KiB"));
    }
    if broker.partitions.of_topic(&topic).is_empty() {
        return Err(HttpError::unknown_topic(&topic));
    }
    let shared = Arc::clone(&broker);
    let (name, wanted) = (topic.clone(), key.clone());
    let found: Result<Option<Located>, ApiError> = blocking(move || {
        let (lookups, begun) = (&shared.key_lookups, Instant::now());
        let found = lookups.find(&shared.partitions, &name, options.partition, &wanted);
        if let Ok(found) = &found {
            shared
                .stats
                .looked_up(result_of(found.as_ref()), begun.elapsed());
        }
        found
    })
    .await?;
    let Some(Located { partition, record }) = found? else {
        let message =
            format!("{topic} has no such key: it was never written, or nothing is left of it");
        return Err(HttpError::not_found("NO_SUCH_KEY", message));
    };
    let headers = record.headers.iter().map(|(name, value)| {
        json!({
            "key": bytes(name),
            "value": value.as_deref().map(bytes),
        })
    });
    Ok(Json(json!({
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": bytes(&key),
        "value": record.value.as_deref().map(bytes),
        "headers": headers.collect::<Vec<_>>(),
        "deleted": record.value.is_none(),
        "tombstone_until_ms": record.delete_horizon_ms,
    })))
}

fn result_of(found: Option<&Located>) -> LookupResult {
    match found {
        None => LookupResult::Miss,
        Some(located) if located.record.value.is_none() => LookupResult::Tombstone,
        Some(_) => LookupResult::Hit,
    }
}

/// Text, or `{"base64": ".."}`.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": base64(bytes) }),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    let digit = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .map(|pair| Some((digit(*pair.first()?)? << 4 | digit(*pair.last()?)?) as u8))
        .collect()
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            match at <= chunk.len() {
                true => text.push(char::from(ALPHABET[(bits >> shift & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}
