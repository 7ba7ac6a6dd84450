//! TxnOffsetCommit (key 28), versions 0-5.
//!
//! Behaviour:
//! - Offsets that count when the transaction is committed. Answered when they are durable.
//! - A partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION; the others are stored all the
//!   same.
//! - The transaction is opened in the group's partition of `__consumer_offsets` only if its
//!   coordinator knows of it (KIP-890): from version 5 on it is added, before AddOffsetsToTxn must
//!   have added it.
//!
//! Versions: 2 leader epoch. 3 flexible, the consumer's generation and member (KIP-447). 4
//! TRANSACTION_ABORTABLE. 5 transactions v2.

use std::sync::Arc;

use lastword_coordinator::{
    self as coordinator, CommitPartition, CommitTopic, GroupError, TopicPartitions,
    TransactionError, TransactionalCommitRequest,
};
use lastword_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use lastword_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use lastword_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use lastword_protocol::{ErrorCode, message};
use lastword_record::NO_SEQUENCE;
use lastword_storage::Opening;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::{group_code, storage_code};
use crate::metadata::{GROUP_METADATA_TOPIC, MetadataImage};
use crate::verification::{self, Operation, Patience, Producer};

/// Versions below this do not know COORDINATOR_LOAD_IN_PROGRESS.
const FIRST_VERSION_WITH_LOADING: i16 = 2;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: TxnOffsetCommitRequest,
) -> Reply {
    let image = broker.metadata.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let (known, answer) = split(&image, topic);
        answers.push(answer);
        topics.extend(known);
    }
    let mut response = message!(TxnOffsetCommitResponse { topics: answers });
    if topics.is_empty() {
        return context.reply(&response);
    }
    let pending = submit(broker, context, &request, topics).await;
    let context = context.clone();
    RequestContext::later(async move {
        let pending = match pending {
            Ok(pending) => pending,
            Err(code) => {
                fill(&mut response, &context, std::iter::repeat(code));
                return context.reply(&response);
            }
        };
        match groups::wait(Ok(pending)).await {
            Ok(coordinator::Reply::Commit(reply)) => {
                let partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
                let codes = partitions.map(|partition| group_code(partition.error));
                fill(&mut response, &context, codes);
            }
            other => {
                let code = groups::error_of(other).code();
                fill(&mut response, &context, std::iter::repeat(code));
            }
        }
        context.reply(&response)
    })
}

/// Opens the transaction in the group's partition, then passes the offsets on; `Err` is a code.
async fn submit(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
    topics: Vec<CommitTopic>,
) -> Result<groups::Pending, i16> {
    if request.group_id.is_empty() {
        return Err(GroupError::InvalidGroupId.code());
    }
    let shard = groups::shard_of(broker, &request.group_id).await;
    let shard = shard.map_err(GroupError::code)?;
    let (producer_id, producer_epoch) = (request.producer_id, request.producer_epoch);
    let wanted = TransactionalCommitRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        producer_id,
        producer_epoch,
        topics,
    };
    let operation = Operation::of_txn_offset_commit(context.api_version);
    if !operation.is_needed(broker) {
        let pending = shard.submit(|machine, ticket, now_ms| {
            machine.commit_transactional_offsets(wanted, ticket, now_ms)
        });
        return pending.map_err(GroupError::code);
    }
    let patience = Patience::new(broker);
    loop {
        let guard = shard.partition().log().begin_verification(Opening {
            producer_id,
            producer_epoch,
            first_sequence: NO_SEQUENCE,
            bumps_epochs: operation == Operation::Add,
        });
        let guard = guard.map_err(|error| storage_code(&error).code())?;
        let mut refused = None;
        if let Some(guard) = guard {
            let producer = Producer {
                transactional_id: &request.transactional_id,
                producer_id,
                producer_epoch,
            };
            let opened = vec![TopicPartitions {
                name: GROUP_METADATA_TOPIC.to_owned(),
                partitions: vec![shard.number()],
            }];
            let errors = verification::ask(broker, operation, &producer, opened).await;
            refused = errors.into_iter().flatten().next();
            if refused.is_some_and(verification::is_final) {
                let log = shard.partition().log();
                log.abandon_verification(producer_id, guard);
            }
        }
        let (error, is_too_early) = match refused {
            Some(error) => (error, error == TransactionError::ConcurrentTransactions),
            None => {
                let pending = shard.submit_verified(
                    (producer_id, producer_epoch),
                    guard,
                    |machine, ticket, now_ms| {
                        machine.commit_transactional_offsets(wanted.clone(), ticket, now_ms)
                    },
                );
                match pending {
                    Ok(Some(pending)) => return Ok(pending),
                    Ok(None) => (TransactionError::InvalidTxnState, true),
                    Err(error) => return Err(error.code()),
                }
            }
        };
        let may_wait = is_too_early && operation == Operation::Add;
        if !may_wait || !patience.wait().await {
            return Err(error.code());
        }
    }
}

/// What can be committed of a topic, and its part of the response, where the rest has its error.
fn split(
    image: &MetadataImage,
    topic: &TxnOffsetCommitRequestTopic,
) -> (Option<CommitTopic>, TxnOffsetCommitResponseTopic) {
    let count = image
        .readable(&topic.name)
        .map_or(0, |found| found.partition_count);
    let mut known = Vec::new();
    let mut answers = Vec::with_capacity(topic.partitions.len());
    for each in &topic.partitions {
        let partition = each.partition_index;
        let mut code = ErrorCode::UnknownTopicOrPartition;
        if (0..count).contains(&partition) {
            code = ErrorCode::None;
            known.push(CommitPartition {
                partition,
                offset: each.committed_offset,
                leader_epoch: each.committed_leader_epoch,
                metadata: each.committed_metadata.as_deref().map(str::to_owned),
            });
        }
        answers.push(message!(TxnOffsetCommitResponsePartition {
            partition_index: partition,
            error_code: code.code(),
        }));
    }
    let answer = message!(TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: answers,
    });
    let known = (!known.is_empty()).then(|| CommitTopic {
        name: topic.name.to_string(),
        partitions: known,
    });
    (known, answer)
}

/// Gives the partitions that were passed on their errors; they come in the order of the request.
fn fill(
    response: &mut TxnOffsetCommitResponse,
    context: &RequestContext,
    codes: impl Iterator<Item = i16>,
) {
    let partitions = response
        .topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions);
    let passed_on = partitions.filter(|each| each.error_code == ErrorCode::None.code());
    for (partition, code) in passed_on.zip(codes) {
        let is_loading = code == ErrorCode::CoordinatorLoadInProgress.code();
        partition.error_code = if is_loading && context.api_version < FIRST_VERSION_WITH_LOADING {
            ErrorCode::CoordinatorNotAvailable.code()
        } else {
            code
        };
    }
}
