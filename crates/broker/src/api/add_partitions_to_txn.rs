//! AddPartitionsToTxn (key 24), versions 0-5.
//!
//! Behaviour:
//! - Versions 0-3 come from clients, with one transaction. All partitions are added or none: with
//!   one that does not exist (3) or that is the broker's own (29), the others are
//!   OPERATION_NOT_ATTEMPTED (55).
//! - Versions 4-5 come from brokers, with many transactions, which are added to or only verified.
//! - A transaction begins with its first partition.
//!
//! Versions: 2 PRODUCER_FENCED (KIP-588). 3 flexible. 4 many transactions, verification (KIP-890).
//! 5 transactions v2.

use std::sync::Arc;

use lastword_coordinator::{
    AddPartitionsRequest, TopicPartitions, TransactionError, TransactionReply, TransactionVersion,
};
use lastword_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use lastword_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use lastword_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::transactions;
use crate::error_map::transaction_code;
use crate::metadata::{is_internal, topic_of_view};

const FIRST_VERSION_OF_BROKERS: i16 = 4;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AddPartitionsToTxnRequest,
) -> Reply {
    if context.api_version >= FIRST_VERSION_OF_BROKERS {
        return handle_many(broker, context, request).await;
    }
    let topics = request.v3_and_below_topics;
    if let Some(results) = refuse(broker, context, &topics) {
        return context.reply(&message!(AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: results,
        }));
    }
    let wanted = AddPartitionsRequest {
        transactional_id: request.v3_and_below_transactional_id.to_string(),
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        topics: wanted_topics(&topics),
        client_transaction_version: TransactionVersion::of_add_partitions_to_txn(
            context.api_version,
        ),
        api_version: context.api_version,
    };
    let pending = add(broker, &wanted).await;
    let context = context.clone();
    RequestContext::later(async move {
        let code = transaction_code(error_of(transactions::wait(pending).await));
        context.reply(&message!(AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: results(&topics, |_, _| code),
        }))
    })
}

/// The answer when a partition cannot be added.
fn refuse(
    broker: &Broker,
    context: &RequestContext,
    topics: &[AddPartitionsToTxnTopic],
) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let image = broker.metadata.image();
    let error = |name: &StrBytes, partition: i32| {
        if context.api_version < FIRST_VERSION_OF_BROKERS && is_internal(name) {
            return Some(ErrorCode::TopicAuthorizationFailed);
        }
        if topic_of_view(name).is_some() {
            return Some(ErrorCode::InvalidTopicException);
        }
        let topic = image.topic(name);
        let exists = topic.is_some_and(|topic| (0..topic.partition_count).contains(&partition));
        (!exists).then_some(ErrorCode::UnknownTopicOrPartition)
    };
    let mut partitions = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|&each| (&topic.name, each)));
    if partitions.all(|(name, partition)| error(name, partition).is_none()) {
        return None;
    }
    Some(results(topics, |name, partition| {
        error(name, partition)
            .unwrap_or(ErrorCode::OperationNotAttempted)
            .code()
    }))
}

async fn handle_many(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AddPartitionsToTxnRequest,
) -> Reply {
    let mut pending = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let topics = transaction.topics;
        let wanted = AddPartitionsRequest {
            transactional_id: transaction.transactional_id.to_string(),
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            topics: wanted_topics(&topics),
            client_transaction_version: TransactionVersion::of_add_partitions_to_txn(
                context.api_version,
            ),
            api_version: context.api_version,
        };
        let begun = if let Some(results) = refuse(broker, context, &topics) {
            Begun::Done(results)
        } else if transaction.verify_only {
            Begun::Done(verify(broker, &wanted, &topics).await)
        } else {
            Begun::Adding(add(broker, &wanted).await, topics)
        };
        pending.push((transaction.transactional_id, begun));
    }
    let context = context.clone();
    RequestContext::later(async move {
        let mut answers = Vec::with_capacity(pending.len());
        for (transactional_id, begun) in pending {
            let topic_results = match begun {
                Begun::Done(results) => results,
                Begun::Adding(pending, topics) => {
                    let code = transaction_code(error_of(transactions::wait(pending).await));
                    results(&topics, |_, _| code)
                }
            };
            answers.push(message!(AddPartitionsToTxnResult {
                transactional_id,
                topic_results,
            }));
        }
        context.reply(&message!(AddPartitionsToTxnResponse {
            results_by_transaction: answers,
        }))
    })
}

/// One transaction of many.
enum Begun {
    Done(Vec<AddPartitionsToTxnTopicResult>),
    Adding(
        Result<transactions::Pending, TransactionError>,
        Vec<AddPartitionsToTxnTopic>,
    ),
}

async fn verify(
    broker: &Arc<Broker>,
    wanted: &AddPartitionsRequest,
    topics: &[AddPartitionsToTxnTopic],
) -> Vec<AddPartitionsToTxnTopicResult> {
    let verified = transactions::query(broker, &wanted.transactional_id, |machine, _| {
        Ok(machine.verify_partitions(wanted))
    })
    .await;
    match verified {
        Err(error) => results(topics, |_, _| error.code()),
        Ok(verified) => {
            // The same partitions in the same order.
            let verified = verified.into_iter().flat_map(|topic| topic.partitions);
            let mut codes = verified.map(|partition| transaction_code(partition.error));
            let unknown = ErrorCode::UnknownServerError.code();
            results(topics, |_, _| codes.next().unwrap_or(unknown))
        }
    }
}

async fn add(
    broker: &Arc<Broker>,
    wanted: &AddPartitionsRequest,
) -> Result<transactions::Pending, TransactionError> {
    transactions::submit(
        broker,
        &wanted.transactional_id,
        |machine, ticket, now_ms| machine.add_partitions(wanted, ticket, now_ms),
    )
    .await
}

fn error_of(reply: Result<TransactionReply, TransactionError>) -> Option<TransactionError> {
    match reply {
        Ok(TransactionReply::AddPartitions(error)) => error,
        Ok(_) => Some(TransactionError::UnknownServerError),
        Err(error) => Some(error),
    }
}

fn wanted_topics(topics: &[AddPartitionsToTxnTopic]) -> Vec<TopicPartitions> {
    let wanted = topics.iter().map(|topic| TopicPartitions {
        name: topic.name.to_string(),
        partitions: topic.partitions.clone(),
    });
    wanted.collect()
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    mut code: impl FnMut(&StrBytes, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for &partition_index in &topic.partitions {
            partitions.push(message!(AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: code(&topic.name, partition_index),
            }));
        }
        results.push(message!(AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: partitions,
        }));
    }
    results
}
