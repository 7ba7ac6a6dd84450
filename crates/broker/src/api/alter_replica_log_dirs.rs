//! AlterReplicaLogDirs (key 34), versions 1-2 (KIP-113).
//!
//! Behaviour: there is one log directory. A partition that is to be where it is succeeds; another directory is
//! LOG_DIR_NOT_FOUND (57); a partition that is not here is UNKNOWN_TOPIC_OR_PARTITION (3).
//!
//! Versions: 2 flexible.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lastword_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use lastword_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> Reply {
    let mut topics: BTreeMap<StrBytes, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in request.dirs {
        let is_here = is_log_dir(broker, &dir.path);
        for topic in dir.topics {
            for partition_index in topic.partitions {
                let code = if !is_here {
                    ErrorCode::LogDirNotFound
                } else if broker
                    .partitions
                    .get(&topic.name, partition_index)
                    .is_none()
                {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    ErrorCode::None
                };
                let results = topics.entry(topic.name.clone()).or_default();
                results.push(message!(AlterReplicaLogDirPartitionResult {
                    partition_index,
                    error_code: code.code(),
                }));
            }
        }
    }
    let results = topics
        .into_iter()
        .map(|(topic_name, partitions)| {
            message!(AlterReplicaLogDirTopicResult {
                topic_name,
                partitions
            })
        })
        .collect();
    context.reply(&message!(AlterReplicaLogDirsResponse { results }))
}

/// Whether this is the log directory, as DescribeLogDirs names it or made absolute.
fn is_log_dir(broker: &Broker, path: &str) -> bool {
    let own = Path::new(&broker.config.log_dir);
    Path::new(path) == own || std::path::absolute(own).is_ok_and(|own| own == Path::new(path))
}
