//! Produce (key 0), versions 3-13.
//!
//! Behaviour:
//! - Each partition takes one record batch of version 2. Partitions succeed and fail one by one.
//! - acks=-1 is answered when the batch is durable and visible; one sync of the engine serves
//!   every request that waits. acks=1 is answered from the page cache. acks=0 is not answered,
//!   but an error closes the connection, which is how the client hears of it.
//! - A batch that was appended before (same producer, epoch and sequence) is answered with the
//!   offset it has.
//! - Topics of the broker itself: INVALID_TOPIC_EXCEPTION (17). Keyless records to a compacted
//!   topic: INVALID_RECORD (87), with the record's index; nothing of the batch is stored.
//! - A batch opens a transaction in a partition only if the coordinator knows of it (KIP-890): from
//!   version 12 on the partition is added, before it must have been. Otherwise INVALID_TXN_STATE
//!   (48), from version 11 on TRANSACTION_ABORTABLE (120). All transactional batches of a request
//!   are of one producer, whose transactional id it names.
//! - Requests are appended in the order of the connection; waiting for the sync does not hold up
//!   the next request.
//!
//! Versions: 7 zstd allowed (KIP-110). 8 record errors and messages (KIP-467). 9 flexible. 10
//! leader hints (never needed). 11 TRANSACTION_ABORTABLE. 12 transactions v2. 13 topic ids (KIP-516).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lastword_coordinator::{TopicPartitions, TransactionError};
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use lastword_protocol::messages::{ProduceRequest, ProduceResponse};
use lastword_protocol::{ErrorCode, message};
use lastword_record::{BatchHeader, TopicId};
use lastword_storage::{self as storage, Appended, StorageError, VerificationGuard};
use tokio::time::Instant;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::{ApiError, record_index};
use crate::metadata::{is_internal, refuse_view};
use crate::partition::Partition;
use crate::verification::{self, Operation, Patience, Producer};

const ALL_REPLICAS: i16 = -1;
const LEADER_ONLY: i16 = 1;
const NO_ACKS: i16 = 0;
/// The longest wait for durability a client may ask for.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);
/// Where a batch says its codec, and whether it belongs to a transaction.
const ATTRIBUTES_LOW_BYTE: usize = 22;
const CODEC_BITS: u8 = 0x07;
const TRANSACTIONAL_BIT: u8 = 0x10;
const ZSTD: u8 = 4;

/// A partition whose batch is not durable yet, by its place in the response.
struct Pending {
    topic: usize,
    partition: usize,
    log: Arc<Partition>,
    next_offset: i64,
}

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ProduceRequest,
) -> Reply {
    let begun = Instant::now();
    let acks = request.acks;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut refused = refuse(&request);
    let openings = match &refused {
        None => open_transactions(broker, context, &request).await,
        Some(_) => Ok(Openings::default()),
    };
    let openings = openings.unwrap_or_else(|error| {
        refused = Some(error);
        Openings::default()
    });
    let mut pending = Vec::new();
    let mut first_error = None;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let name = topic_name(broker, context, &topic);
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let appended = match (&refused, &name) {
                (Some(error), _) | (None, Err(error)) => Err(Refusal::from(error.clone())),
                (None, Ok(name)) => {
                    let place = (responses.len(), partition_responses.len());
                    append(broker, context, name, &data, openings.get(&place))
                }
            };
            partition_responses.push(match appended {
                Ok((partition, appended)) => {
                    pending.push(Pending {
                        topic: responses.len(),
                        partition: partition_responses.len(),
                        log: partition,
                        next_offset: appended.last_offset + 1,
                    });
                    success(data.index, &appended)
                }
                Err(refusal) => {
                    first_error.get_or_insert_with(|| refusal.error.clone());
                    failure(data.index, refusal)
                }
            });
        }
        responses.push(message!(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        }));
    }
    let mut response = message!(ProduceResponse { responses });
    pending.retain(|wait| {
        acks == ALL_REPLICAS && wait.log.offsets().high_watermark < wait.next_offset
    });
    if pending.is_empty() {
        broker.latencies.report(begun.elapsed());
        count_errors(broker, context, &response);
    }
    match acks {
        NO_ACKS => match first_error {
            None => Reply::Nothing,
            Some(error) => Reply::Close(format!("produce with acks=0 failed: {}", error.message)),
        },
        ALL_REPLICAS if !pending.is_empty() => {
            let (broker, context) = (broker.clone(), context.clone());
            let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
            RequestContext::later(async move {
                wait_all(&mut response, pending, deadline).await;
                broker.latencies.report(begun.elapsed());
                count_errors(&broker, &context, &response);
                context.reply(&response)
            })
        }
        _ => context.reply(&response),
    }
}

fn count_errors(broker: &Broker, context: &RequestContext, response: &ProduceResponse) {
    let topics = response.responses.iter();
    let partitions = topics.flat_map(|topic| &topic.partition_responses);
    for partition in partitions.filter(|partition| partition.error_code != 0) {
        broker.stats.error(context.api_key, partition.error_code);
    }
}

/// What refuses the request as a whole.
fn refuse(request: &ProduceRequest) -> Option<ApiError> {
    if !matches!(request.acks, ALL_REPLICAS | NO_ACKS | LEADER_ONLY) {
        return Some(ErrorCode::InvalidRequiredAcks.into());
    }
    None
}

/// Whether a batch may open a transaction, and under which guard; none where one is open already.
type Opening = Result<Option<VerificationGuard>, ApiError>;
/// Topic and partition, counted as in the request.
type Place = (usize, usize);
/// Batches of no transaction have none.
type Openings = HashMap<Place, Opening>;

/// Lets the coordinator know where transactions are about to be opened.
async fn open_transactions(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: &ProduceRequest,
) -> Result<Openings, ApiError> {
    let patience = Patience::new(broker);
    loop {
        let (openings, is_too_early) = try_to_open(broker, context, request).await?;
        if !is_too_early || !patience.wait().await {
            return Ok(openings);
        }
    }
}

/// One attempt, and whether the markers of the transaction before have spoilt it.
async fn try_to_open(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: &ProduceRequest,
) -> Result<(Openings, bool), ApiError> {
    let batches = transactional_batches(request)?;
    let Some((_, first)) = batches.first() else {
        return Ok((Openings::default(), false));
    };
    let Some(transactional_id) = request.transactional_id.as_deref() else {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
    };
    let producer = Producer {
        transactional_id,
        producer_id: first.producer_id,
        producer_epoch: first.producer_epoch,
    };
    let operation = Operation::of_produce(context.api_version);
    let mut openings = Openings::default();
    if !operation.is_needed(broker) {
        return Ok((openings, false));
    }
    let mut asked: Vec<(Place, Arc<Partition>)> = Vec::new();
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (place, header) in batches {
        let topic = &request.topic_data[place.0];
        let number = topic.partition_data[place.1].index;
        // What cannot be found has its error when it is appended.
        let Ok(name) = topic_name(broker, context, topic) else {
            continue;
        };
        let Ok(partition) = broker.partitions.find(&name, number) else {
            continue;
        };
        let opening = storage::Opening {
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            first_sequence: header.base_sequence,
            bumps_epochs: operation == Operation::Add,
        };
        let guard = match partition.log().begin_verification(opening) {
            Ok(guard) => guard,
            Err(error) => {
                openings.insert(place, Err(error.into()));
                continue;
            }
        };
        openings.insert(place, Ok(guard));
        if guard.is_some() {
            asked.push((place, partition.clone()));
            match topics.last_mut() {
                Some(last) if *last.name == *name => last.partitions.push(number),
                _ => topics.push(TopicPartitions {
                    name: name.to_string(),
                    partitions: vec![number],
                }),
            }
        }
    }
    if asked.is_empty() {
        return Ok((openings, false));
    }
    let errors = verification::ask(broker, operation, &producer, topics).await;
    let mut is_too_early = false;
    for ((place, partition), error) in asked.into_iter().zip(errors) {
        let guard = openings.get(&place).and_then(|guard| guard.clone().ok());
        let guard = guard.flatten();
        let (id, log) = (producer.producer_id, partition.log());
        is_too_early |= match error {
            Some(error) => error == TransactionError::ConcurrentTransactions,
            None => !log.is_verified(id, producer.producer_epoch, guard),
        };
        if let Some(guard) = guard
            && error.is_some_and(verification::is_final)
        {
            log.abandon_verification(id, guard);
        }
        if let Some(error) = error {
            openings.insert(place, Err(verification_error(operation, error)));
        }
    }
    Ok((openings, is_too_early && operation == Operation::Add))
}

/// The header of each transactional batch and its place. What cannot be read is refused later.
fn transactional_batches(request: &ProduceRequest) -> Result<Vec<(Place, BatchHeader)>, ApiError> {
    let mut found: Vec<(Place, BatchHeader)> = Vec::new();
    for (topic_place, topic) in request.topic_data.iter().enumerate() {
        for (partition_place, data) in topic.partition_data.iter().enumerate() {
            let batch = data.records.as_deref().unwrap_or_default();
            let attributes = batch.get(ATTRIBUTES_LOW_BYTE).copied().unwrap_or_default();
            if attributes & TRANSACTIONAL_BIT == 0 {
                continue;
            }
            let Ok(header) = BatchHeader::parse(batch) else {
                continue;
            };
            let producer = (header.producer_id, header.producer_epoch);
            if let Some((_, first)) = found.first()
                && (first.producer_id, first.producer_epoch) != producer
            {
                let message = "Transactional records contained more than one producer id.";
                return Err(ApiError::new(ErrorCode::InvalidProducerIdMapping, message));
            }
            found.push(((topic_place, partition_place), header));
        }
    }
    Ok(found)
}

/// What a producer is told when its transaction could not be verified.
fn verification_error(operation: Operation, error: TransactionError) -> ApiError {
    match error {
        TransactionError::InvalidTxnState => {
            let message = "The partition was not added to the transaction.";
            ApiError::new(ErrorCode::InvalidTxnState, message)
        }
        // Younger clients know it and try again.
        TransactionError::ConcurrentTransactions if operation == Operation::Add => error.into(),
        // Older clients try again when they are told this.
        TransactionError::ConcurrentTransactions
        | TransactionError::CoordinatorLoadInProgress
        | TransactionError::CoordinatorNotAvailable
        | TransactionError::NotCoordinator => {
            let message = format!("The transaction cannot be verified now: {error}.");
            ApiError::new(ErrorCode::NotEnoughReplicas, message)
        }
        other => other.into(),
    }
}

fn topic_name(
    broker: &Broker,
    context: &RequestContext,
    topic: &TopicProduceData,
) -> Result<Arc<str>, ApiError> {
    let image = broker.metadata.image();
    let (found, missing) = if context.api_version >= 13 {
        let id = TopicId(topic.topic_id.to_bytes());
        (image.readable_by_id(id), ErrorCode::UnknownTopicId)
    } else {
        (
            image.readable(&topic.name),
            ErrorCode::UnknownTopicOrPartition,
        )
    };
    let found = found.ok_or(missing)?;
    let name = &found.name;
    refuse_view(name)?;
    if is_internal(name) {
        let message = format!("{name} is written by the broker only");
        return Err(ApiError::new(ErrorCode::InvalidTopicException, message));
    }
    Ok(name.clone())
}

/// Why one partition's batch was not appended.
struct Refusal {
    error: ApiError,
    record_index: Option<i32>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal {
            error,
            record_index: None,
        }
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Refusal {
        Refusal {
            record_index: record_index(&error),
            error: error.into(),
        }
    }
}

fn append(
    broker: &Broker,
    context: &RequestContext,
    topic: &str,
    data: &PartitionProduceData,
    opening: Option<&Opening>,
) -> Result<(Arc<Partition>, Appended), Refusal> {
    let partition = broker.partitions.find(topic, data.index)?;
    let batch = data.records.as_deref().unwrap_or_default();
    let attributes = batch.get(ATTRIBUTES_LOW_BYTE).copied().unwrap_or_default();
    if context.api_version < 7 && attributes & CODEC_BITS == ZSTD {
        return Err(ApiError::from(ErrorCode::UnsupportedCompressionType).into());
    }
    let appended = match opening {
        None => partition.append_as_leader(batch)?,
        Some(Ok(guard)) => partition.append_verified(batch, *guard)?,
        Some(Err(error)) => return Err(error.clone().into()),
    };
    Ok((partition, appended))
}

fn success(index: i32, appended: &Appended) -> PartitionProduceResponse {
    message!(PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: appended.log_start_offset,
    })
}

fn failure(index: i32, refusal: Refusal) -> PartitionProduceResponse {
    let message = refusal.error.message;
    let record_errors = refusal
        .record_index
        .map(|batch_index| {
            message!(BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: Some(message.as_str().into()),
            })
        })
        .into_iter()
        .collect();
    message!(PartitionProduceResponse {
        index,
        error_code: refusal.error.code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors,
        error_message: Some(message.into()),
    })
}

/// Waits until every batch is durable; those that are not by the deadline have timed out.
async fn wait_all(response: &mut ProduceResponse, pending: Vec<Pending>, deadline: Instant) {
    for wait in pending {
        let Err(error) = wait.log.wait_visible(wait.next_offset, deadline).await else {
            continue;
        };
        let slot = response
            .responses
            .get_mut(wait.topic)
            .and_then(|topic| topic.partition_responses.get_mut(wait.partition));
        if let Some(slot) = slot {
            *slot = failure(slot.index, error.into());
        }
    }
}
