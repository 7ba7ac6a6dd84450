//! DescribeLogDirs (key 35), versions 1-5.
//!
//! Behaviour:
//! - One log directory, with the size of each partition asked for, or of all.
//! - `offset_lag` is 0: there are no replicas that could be behind.
//!
//! Versions: 2 flexible. 3 top-level error code. 4 total and usable bytes (KIP-827). 5 cordoned
//! directories (KIP-1066), of which there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lastword_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use lastword_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use lastword_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::partition::Partition;

/// How many bytes, when the file system does not say.
const UNKNOWN: i64 = -1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeLogDirsRequest,
) -> Reply {
    let version = context.api_version;
    let broker = broker.clone();
    let work = move || {
        let results = vec![describe(&broker, version, request.topics.as_deref())];
        message!(DescribeLogDirsResponse { results })
    };
    context.reply_blocking(work).await
}

fn describe(
    broker: &Broker,
    version: i16,
    wanted: Option<&[DescribableLogDirTopic]>,
) -> DescribeLogDirsResult {
    let mut by_topic: BTreeMap<Arc<str>, Vec<Arc<Partition>>> = BTreeMap::new();
    for partition in partitions(broker, wanted) {
        by_topic
            .entry(partition.topic_partition().topic.clone())
            .or_default()
            .push(partition);
    }
    let topics = by_topic
        .into_iter()
        .map(|(name, partitions)| {
            let partitions = partitions.iter().map(|p| describe_partition(p)).collect();
            message!(DescribeLogDirsTopic {
                name: StrBytes::from(&*name),
                partitions
            })
        })
        .collect();
    let offline = broker.logs.is_offline().is_some();
    let code = if offline {
        ErrorCode::KafkaStorageError
    } else {
        ErrorCode::None
    };
    let mut result = message!(DescribeLogDirsResult {
        error_code: code.code(),
        log_dir: StrBytes::from(broker.config.log_dir.as_str()),
        topics,
    });
    if version >= 4 {
        let bytes = |answer: std::io::Result<u64>| {
            answer.map_or(UNKNOWN, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
        };
        result.total_bytes = bytes(broker.logs.dir().total_bytes());
        result.usable_bytes = bytes(broker.logs.dir().free_bytes());
    }
    result
}

fn partitions(broker: &Broker, wanted: Option<&[DescribableLogDirTopic]>) -> Vec<Arc<Partition>> {
    let Some(topics) = wanted else {
        let mut all = broker.partitions.all();
        all.sort_by(|a, b| a.topic_partition().cmp(b.topic_partition()));
        return all;
    };
    let asked: BTreeSet<(&str, i32)> = topics
        .iter()
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|&number| (topic.topic.as_str(), number))
        })
        .collect();
    asked
        .into_iter()
        .filter_map(|(topic, number)| broker.partitions.get(topic, number))
        .collect()
}

fn describe_partition(partition: &Partition) -> DescribeLogDirsPartition {
    message!(DescribeLogDirsPartition {
        partition_index: partition.topic_partition().partition,
        partition_size: i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX),
    })
}
