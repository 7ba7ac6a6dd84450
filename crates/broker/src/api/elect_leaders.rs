//! ElectLeaders (key 43), versions 0-2.
//!
//! Behaviour:
//! - This broker leads every partition, so each one asked for is ELECTION_NOT_NEEDED, or unknown. When all partitions are
//!   meant, each topic is listed without partitions, as Kafka leaves out those that needed none.
//! - An unknown kind of election is INVALID_REQUEST, for the whole and for each partition.
//!
//! Versions: 1 unclean elections and a top-level error (KIP-460). 2 flexible.

use std::sync::Arc;

use lastword_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use lastword_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ElectLeadersRequest,
) -> Reply {
    let is_empty = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let refused = !matches!(request.election_type, PREFERRED | UNCLEAN);
    let mut replica_election_results: Vec<ReplicaElectionResult> = Vec::new();
    match request.topic_partitions {
        Some(asked) => replica_election_results.extend(asked.into_iter().map(|topic| {
            let numbers = topic.partitions.iter();
            let partition_result = numbers
                .map(|&number| {
                    let code = match broker.partitions.get(&topic.topic, number) {
                        _ if refused => ErrorCode::InvalidRequest,
                        Some(_) => ErrorCode::ElectionNotNeeded,
                        None => ErrorCode::UnknownTopicOrPartition,
                    };
                    result(number, code)
                })
                .collect();
            message!(ReplicaElectionResult {
                topic: topic.topic,
                partition_result
            })
        })),
        None if refused => {}
        None => {
            let image = broker.metadata.image();
            let all = image.topics().map(|topic| {
                message!(ReplicaElectionResult {
                    topic: StrBytes::from(&*topic.name)
                })
            });
            replica_election_results.extend(all);
        }
    }
    let mut response = message!(ElectLeadersResponse {
        replica_election_results
    });
    // As in Kafka, where nothing is asked for nothing is looked at.
    if refused && !is_empty {
        response.error_code = ErrorCode::InvalidRequest.code();
    }
    context.reply(&response)
}

fn result(partition_id: i32, code: ErrorCode) -> PartitionResult {
    message!(PartitionResult {
        partition_id,
        error_code: code.code(),
        error_message: Some(StrBytes::from(code.message())),
    })
}
