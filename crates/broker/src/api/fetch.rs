//! Fetch (key 1), versions 4-18.
//!
//! Behaviour:
//! - Bytes leave as they are stored, compressed or not, from the batch that holds the offset on.
//! - The answer is held back until `min_bytes` are there, `max_wait_ms` is over, or a partition
//!   has an error. Only records below the high watermark (read_committed: below the last stable
//!   offset) count and are served: those that are durable.
//! - `max_bytes` bounds the whole answer, `partition_max_bytes` one partition; the first batch of
//!   the first partition that has records is served even when it is larger, so that a consumer
//!   with a small buffer is never stuck.
//! - Incremental sessions (KIP-227): see `fetch_session`.
//! - A topic's state view, or the topic itself when `lastword.fetch.view` says so, is served without superseded records.
//! - Followers are refused: CLUSTER_AUTHORIZATION_FAILED (31). There is no replication.
//!
//! Versions: 4 isolation level. 5 log start offset. 7 sessions. 9 leader epochs (KIP-320). 11 rack
//! (KIP-392). 12 flexible, diverging epochs (never: there is one epoch). 13 topic ids (KIP-516).
//! 15 replica state. 16 leader hints. 17 directory ids. 18 high watermark of followers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lastword_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use lastword_protocol::messages::{FetchRequest, FetchResponse};
use lastword_protocol::{ErrorCode, message, response};
use lastword_record::TopicId;
use lastword_storage::{FetchData, Isolation, StorageError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::fetch_memory::{FetchShare, SHORT_BYTES};
use crate::fetch_session::{FetchItem, FinishContext};
use crate::partition::{Fetched, Partition, ViewFetch, run_blocking};
use crate::state_views::StateViews;

/// The longest wait for data a client may ask for.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// Reads up to this size come from the page cache in microseconds and stay on this thread.
const INLINE_READ_BYTES: usize = 64 * 1024;
const READ_COMMITTED: i8 = 1;

/// What a request asks of every partition.
#[derive(Clone, Copy)]
struct Limits {
    isolation: Isolation,
    max_bytes: usize,
    min_bytes: usize,
}

/// One partition of the answer, before its records are read.
struct Planned {
    item: FetchItem,
    partition: Option<Arc<Partition>>,
    outcome: Result<Fetched, ApiError>,
}

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: FetchRequest,
) -> Reply {
    if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
        return refuse(context, ErrorCode::ClusterAuthorizationFailed);
    }
    let limits = limits(broker, &request);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let now_ms = broker.clock.now_ms();
    let session = match broker
        .fetch_sessions
        .begin(request, context.api_version, now_ms)
    {
        Ok(session) => session,
        Err(code) => return refuse(context, code),
    };
    let (items, finish) = session.into_parts();
    let (broker, context) = (broker.clone(), context.clone());
    // The records are read when the answer's turn to be written has come, so a connection holds
    // the data of one answer at a time, however many requests it has sent.
    RequestContext::later(async move {
        let planned = plan_or_wait(&broker, items, limits, Instant::now() + wait).await;
        respond(&broker, &context, planned, limits, finish).await
    })
}

fn limits(broker: &Broker, request: &FetchRequest) -> Limits {
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let max_bytes = size(request.max_bytes).min(broker.config.fetch_max_bytes);
    Limits {
        isolation: match request.isolation_level {
            READ_COMMITTED => Isolation::LastStable,
            _ => Isolation::HighWatermark,
        },
        max_bytes,
        min_bytes: size(request.min_bytes).min(max_bytes),
    }
}

/// An error of the whole request. Before version 7 there is no field for it; then the connection
/// ends, which such a client takes as a reason to ask again.
fn refuse(context: &RequestContext, code: ErrorCode) -> Reply {
    if context.api_version < 7 {
        return Reply::Close(format!("fetch refused: {code}"));
    }
    context.reply(&message!(FetchResponse {
        error_code: code.code()
    }))
}

/// Plans the answer, again and again until it may be sent.
async fn plan_or_wait(
    broker: &Broker,
    items: Vec<FetchItem>,
    limits: Limits,
    deadline: Instant,
) -> Vec<Planned> {
    let mut planned = plan(broker, items, limits);
    if is_sufficient(&planned, limits) || Instant::now() >= deadline {
        return planned;
    }
    let wake = Arc::new(Notify::new());
    let mut stopping = broker.stopping.clone();
    loop {
        // Registered for what was not seen yet; dropped, and so left, before the next look.
        let registrations: Vec<_> = planned
            .iter()
            .filter_map(|planned| {
                let fetched = planned.outcome.as_ref().ok()?;
                let partition = planned.partition.as_ref()?;
                let registration = partition.register(fetched.offsets.high_watermark + 1, &wake);
                // As with what became visible in between.
                if fetched.waits_for_view && partition.view().is_ready() {
                    wake.notify_one();
                }
                Some(registration)
            })
            .collect();
        let is_over = tokio::select! {
            () = wake.notified() => false,
            () = tokio::time::sleep_until(deadline) => true,
            _ = stopping.wait_for(|&stopping| stopping) => true,
        };
        drop(registrations);
        let items = planned.into_iter().map(|planned| planned.item).collect();
        planned = plan(broker, items, limits);
        if is_over || is_sufficient(&planned, limits) {
            return planned;
        }
    }
}

fn is_sufficient(planned: &[Planned], limits: Limits) -> bool {
    let bytes: usize = planned.iter().map(size_bytes).sum();
    planned.is_empty()
        || bytes >= limits.min_bytes
        || planned.iter().any(|planned| planned.outcome.is_err())
}

fn size_bytes(planned: &Planned) -> usize {
    match &planned.outcome {
        Ok(Fetched {
            data: Some(data), ..
        }) => data.len_bytes(),
        Ok(Fetched {
            view: Some(view), ..
        }) => view.max_bytes(),
        _ => 0,
    }
}

fn plan(broker: &Broker, items: Vec<FetchItem>, limits: Limits) -> Vec<Planned> {
    let mut room = limits.max_bytes;
    let mut is_first = true;
    items
        .into_iter()
        .map(|item| {
            let (partition, outcome) = match find(broker, &item) {
                Ok((partition, is_view)) => {
                    let max_bytes = room.min(usize::try_from(item.max_bytes).unwrap_or(0));
                    let (offset, isolation) = (item.fetch_offset, limits.isolation);
                    let fetched = if is_view || partition.serves_state() {
                        let views = &broker.state_views;
                        partition.fetch_state(views, offset, max_bytes, is_first, isolation)
                    } else {
                        partition.fetch(offset, max_bytes, is_first, isolation)
                    };
                    (Some(partition), fetched.map_err(ApiError::from))
                }
                Err(error) => (None, Err(error)),
            };
            let planned = Planned {
                item,
                partition,
                outcome,
            };
            let bytes = size_bytes(&planned);
            room = room.saturating_sub(bytes);
            is_first &= bytes == 0;
            planned
        })
        .collect()
}

/// The partition, and whether its state view is meant.
fn find(broker: &Broker, item: &FetchItem) -> Result<(Arc<Partition>, bool), ApiError> {
    let key = &item.key;
    let (partition, is_view) = if key.topic_id.is_zero() {
        broker.partitions.find_readable(&key.topic, key.partition)?
    } else {
        let image = broker.metadata.image();
        let id = TopicId(key.topic_id.to_bytes());
        let readable = image.readable_by_id(id).ok_or(ErrorCode::UnknownTopicId)?;
        broker
            .partitions
            .find_readable(&readable.name, key.partition)?
    };
    partition.check_leader_epoch(item.current_leader_epoch)?;
    Ok((partition, is_view))
}

async fn respond(
    broker: &Broker,
    context: &RequestContext,
    planned: Vec<Planned>,
    limits: Limits,
    finish: FinishContext,
) -> Reply {
    let (planned, bytes, share) = share_of_memory(broker, planned, limits).await;
    let begun = Instant::now();
    let committed = matches!(limits.isolation, Isolation::LastStable);
    let has_view = planned
        .iter()
        .any(|planned| matches!(&planned.outcome, Ok(fetched) if fetched.view.is_some()));
    let views = broker.state_views.clone();
    let read = move || read_all(planned, committed, &share, &views);
    let answers = if bytes <= INLINE_READ_BYTES && !has_view {
        read()
    } else {
        match run_blocking(read).await {
            Ok(answers) => answers,
            Err(error) => return Reply::Close(error.message),
        }
    };
    // Neither the wait for records nor the one for memory is the disk's.
    if bytes > 0 {
        let took = begun.elapsed();
        broker.latencies.report(took);
        broker.stats.fetch_read(took);
    }
    for (_, data) in answers.iter().filter(|(_, data)| data.error_code != 0) {
        broker.stats.error(context.api_key, data.error_code);
    }
    let (session_id, answers) =
        broker
            .fetch_sessions
            .finish(finish, answers, broker.clock.now_ms());
    let mut response = message!(FetchResponse {
        responses: by_topic(answers)
    });
    response.session_id = session_id;
    context.encoded(response::encode_fetch(
        context.api_version,
        context.correlation_id,
        response,
    ))
}

/// Takes memory for the answer; when it is short, the answer is planned anew, and small.
async fn share_of_memory(
    broker: &Broker,
    planned: Vec<Planned>,
    limits: Limits,
) -> (Vec<Planned>, usize, Arc<FetchShare>) {
    let bytes: usize = planned.iter().map(size_bytes).sum();
    if let Some(share) = broker.fetch_memory.try_take(bytes) {
        return (planned, bytes, share);
    }
    let limits = Limits {
        max_bytes: limits.max_bytes.min(SHORT_BYTES),
        ..limits
    };
    let items = planned.into_iter().map(|planned| planned.item).collect();
    let planned = plan(broker, items, limits);
    let bytes = planned.iter().map(size_bytes).sum();
    let share = broker.fetch_memory.take(bytes).await;
    (planned, bytes, share)
}

fn read_all(
    planned: Vec<Planned>,
    committed: bool,
    share: &Arc<FetchShare>,
    views: &StateViews,
) -> Vec<(FetchItem, PartitionData)> {
    planned
        .into_iter()
        .map(|planned| {
            let index = planned.item.key.partition;
            let read = planned.outcome.and_then(|fetched| match &fetched.view {
                Some(view) => read_view(index, view, committed, share, views),
                None => read(index, fetched, committed, share),
            });
            let data = match read {
                Ok(data) => {
                    let bytes = data.records.as_ref().map_or(0, Bytes::len);
                    if let Some(partition) = &planned.partition {
                        partition.traffic().fetched(bytes);
                    }
                    data
                }
                Err(error) => message!(PartitionData {
                    partition_index: index,
                    error_code: error.code.code(),
                    high_watermark: -1,
                    records: Some(Bytes::new()),
                }),
            };
            (planned.item, data)
        })
        .collect()
}

fn read(
    index: i32,
    fetched: Fetched,
    committed: bool,
    share: &Arc<FetchShare>,
) -> Result<PartitionData, ApiError> {
    let Fetched { offsets, data, .. } = fetched;
    let mut aborted = committed.then(Vec::new);
    let mut records = Bytes::new();
    if let Some(data) = data {
        if let Some(aborted) = &mut aborted {
            aborted.extend(aborted_of(&data));
        }
        let mut buffer = share.buffer(data.len_bytes());
        let len = read_slices(&data, &mut buffer)
            .map_err(|error| StorageError::io("read", "a segment", error))?;
        records = share.bytes(buffer, len);
    }
    Ok(message!(PartitionData {
        partition_index: index,
        high_watermark: offsets.high_watermark,
        last_stable_offset: offsets.last_stable_offset,
        log_start_offset: offsets.log_start_offset,
        aborted_transactions: aborted,
        records: Some(records),
    }))
}

fn read_view(
    index: i32,
    view: &ViewFetch,
    committed: bool,
    share: &Arc<FetchShare>,
    views: &StateViews,
) -> Result<PartitionData, ApiError> {
    let mut buffer = share.buffer(view.max_bytes());
    buffer.clear();
    let data = view.read_into(views, &mut buffer)?;
    let len = buffer.len();
    Ok(message!(PartitionData {
        partition_index: index,
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
        aborted_transactions: committed.then(|| aborted_of(&data).collect()),
        records: Some(share.bytes(buffer, len)),
    }))
}

/// Fills the buffer with the bytes of all slices; returns how many there are.
fn read_slices(data: &FetchData, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    for slice in &data.slices {
        let mut position = slice.position;
        let end = filled + slice.len as usize;
        while let Some(rest) = buffer.get_mut(filled..end).filter(|rest| !rest.is_empty()) {
            let count = slice.segment.read_at(rest, position)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            position += u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
    Ok(filled)
}

fn aborted_of(data: &FetchData) -> impl Iterator<Item = AbortedTransaction> {
    data.aborted_transactions.iter().map(|aborted| {
        message!(AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        })
    })
}

/// Answers of one topic that follow each other go under one head.
fn by_topic(answers: Vec<(FetchItem, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<FetchableTopicResponse> = Vec::new();
    for (item, data) in answers {
        let key = item.key;
        match topics.last_mut() {
            Some(last) if last.topic == key.topic && last.topic_id == key.topic_id => {
                last.partitions.push(data);
            }
            _ => topics.push(message!(FetchableTopicResponse {
                topic: key.topic,
                topic_id: key.topic_id,
                partitions: vec![data],
            })),
        }
    }
    topics
}
