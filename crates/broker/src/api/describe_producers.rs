//! DescribeProducers (key 61), version 0.
//!
//! Behaviour: the producers whose sequence numbers a partition remembers, by id. Unknown
//! partitions are UNKNOWN_TOPIC_OR_PARTITION (3).

use std::sync::Arc;

use lastword_protocol::message;
use lastword_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use lastword_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::{Reply, RequestContext};
use crate::broker::Broker;

const NO_TRANSACTION: i64 = -1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeProducersRequest,
) -> Reply {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partition_indexes
                .iter()
                .map(|&partition| describe(broker, &topic.name, partition))
                .collect();
            message!(TopicResponse {
                name: topic.name,
                partitions
            })
        })
        .collect();
    context.reply(&message!(DescribeProducersResponse { topics }))
}

fn describe(broker: &Broker, topic: &str, partition_index: i32) -> PartitionResponse {
    let partition = match broker.partitions.find(topic, partition_index) {
        Ok(partition) => partition,
        Err(error) => {
            return message!(PartitionResponse {
                partition_index,
                error_code: error.code.code(),
                error_message: Some(error.message.into()),
            });
        }
    };
    let active_producers = partition
        .log()
        .active_producers()
        .into_iter()
        .map(|producer| {
            message!(ProducerState {
                producer_id: producer.producer_id,
                producer_epoch: producer.producer_epoch.into(),
                last_sequence: producer.last_sequence,
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                current_txn_start_offset: producer
                    .current_transaction_start_offset
                    .unwrap_or(NO_TRANSACTION),
            })
        })
        .collect();
    message!(PartitionResponse {
        partition_index,
        active_producers
    })
}
