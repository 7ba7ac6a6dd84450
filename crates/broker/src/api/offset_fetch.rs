//! OffsetFetch (key 9), versions 1-10.
//!
//! Behaviour:
//! - Answered at once. A partition without a committed offset has offset -1 and no error, whether
//!   the group exists or not.
//! - No topics (null, version 2) means every partition the group has committed; by topic id
//!   (version 10) only those of topics that still exist.
//! - `require_stable` refuses an offset whose commit is in flight: UNSTABLE_OFFSET_COMMIT.
//!
//! Versions: 2 all topics, error of the group. 5 leader epoch (KIP-320). 6 flexible. 7 require
//! stable (KIP-447). 8 many groups (KIP-709). 9 member epoch, which fences members of consumer
//! groups (KIP-848). 10 topic ids.

use std::sync::Arc;

use lastword_coordinator::{FetchedPartition, FetchedTopic, GroupError, TopicPartitions};
use lastword_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use lastword_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use lastword_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};
use lastword_record::TopicId;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;
use crate::metadata::MetadataImage;

const FIRST_VERSION_WITH_GROUP_ERROR: i16 = 2;
const FIRST_VERSION_WITH_MANY_GROUPS: i16 = 8;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 10;
const NO_OFFSET: i64 = -1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetFetchRequest,
) -> Reply {
    if context.api_version < FIRST_VERSION_WITH_MANY_GROUPS {
        return context.reply(&fetch_one_group(broker, context.api_version, request).await);
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let fetched = if context.api_version < FIRST_VERSION_WITH_TOPIC_IDS {
            fetch_by_name(broker, group, request.require_stable).await
        } else {
            fetch_by_id(broker, group, request.require_stable).await
        };
        groups.push(fetched);
    }
    context.reply(&message!(OffsetFetchResponse { groups }))
}

/// A member that asks says so with its epoch (version 9).
#[derive(Clone, Copy)]
struct Asking<'a> {
    member_id: Option<&'a str>,
    member_epoch: i32,
}

const NOBODY: Asking<'static> = Asking {
    member_id: None,
    member_epoch: -1,
};

async fn fetch(
    broker: &Arc<Broker>,
    group_id: &str,
    asking: Asking<'_>,
    topics: Option<&[TopicPartitions]>,
    require_stable: bool,
) -> Result<Vec<FetchedTopic>, GroupError> {
    groups::query(broker, group_id, |machine, _| {
        machine.check_fetch(group_id, asking.member_id, asking.member_epoch)?;
        machine.fetch_offsets(group_id, topics, require_stable)
    })
    .await
}

// Versions 1 to 7

async fn fetch_one_group(
    broker: &Arc<Broker>,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let topics: Option<Vec<TopicPartitions>> = request.topics.map(|topics| {
        let wanted = topics.into_iter().map(|topic| TopicPartitions {
            name: topic.name.to_string(),
            partitions: topic.partition_indexes,
        });
        wanted.collect()
    });
    let fetched = fetch(
        broker,
        &request.group_id,
        NOBODY,
        topics.as_deref(),
        request.require_stable,
    )
    .await;
    match fetched {
        Ok(topics) => {
            message!(OffsetFetchResponse {
                topics: topics.into_iter().map(topic_of_one).collect()
            })
        }
        Err(error) if version >= FIRST_VERSION_WITH_GROUP_ERROR => {
            message!(OffsetFetchResponse {
                error_code: error.code()
            })
        }
        Err(error) => {
            // Version 1 has no place for the error but the partitions.
            let failed = topics
                .unwrap_or_default()
                .into_iter()
                .map(|topic| failed(topic, error));
            message!(OffsetFetchResponse {
                topics: failed.map(topic_of_one).collect()
            })
        }
    }
}

fn failed(topic: TopicPartitions, error: GroupError) -> FetchedTopic {
    let partitions = topic
        .partitions
        .into_iter()
        .map(|partition| FetchedPartition {
            partition,
            offset: NO_OFFSET,
            leader_epoch: -1,
            metadata: String::new(),
            error: Some(error),
        });
    FetchedTopic {
        name: topic.name,
        partitions: partitions.collect(),
    }
}

fn topic_of_one(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|each| {
        message!(OffsetFetchResponsePartition {
            partition_index: each.partition,
            committed_offset: each.offset,
            committed_leader_epoch: each.leader_epoch,
            metadata: Some(StrBytes::from(each.metadata)),
            error_code: group_code(each.error),
        })
    });
    message!(OffsetFetchResponseTopic {
        name: StrBytes::from(topic.name),
        partitions: partitions.collect(),
    })
}

// Versions 8 and 9

async fn fetch_by_name(
    broker: &Arc<Broker>,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let topics: Option<Vec<TopicPartitions>> = group.topics.map(|topics| {
        let wanted = topics.into_iter().map(|topic| TopicPartitions {
            name: topic.name.to_string(),
            partitions: topic.partition_indexes,
        });
        wanted.collect()
    });
    let mut answer = message!(OffsetFetchResponseGroup {
        group_id: group.group_id.clone()
    });
    let asking = Asking {
        member_id: group.member_id.as_deref(),
        member_epoch: group.member_epoch,
    };
    match fetch(
        broker,
        &group.group_id,
        asking,
        topics.as_deref(),
        require_stable,
    )
    .await
    {
        Ok(topics) => {
            let named = |topic: FetchedTopic| {
                message!(OffsetFetchResponseTopics {
                    name: StrBytes::from(topic.name),
                    partitions: topic
                        .partitions
                        .into_iter()
                        .map(partition_of_many)
                        .collect(),
                })
            };
            answer.topics = topics.into_iter().map(named).collect();
        }
        Err(error) => answer.error_code = error.code(),
    }
    answer
}

fn partition_of_many(each: FetchedPartition) -> OffsetFetchResponsePartitions {
    message!(OffsetFetchResponsePartitions {
        partition_index: each.partition,
        committed_offset: each.offset,
        committed_leader_epoch: each.leader_epoch,
        metadata: Some(StrBytes::from(each.metadata)),
        error_code: group_code(each.error),
    })
}

// Version 10

async fn fetch_by_id(
    broker: &Arc<Broker>,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let image = broker.metadata.image();
    let mut answer = message!(OffsetFetchResponseGroup {
        group_id: group.group_id.clone()
    });
    let mut unknown = Vec::new();
    let topics: Option<Vec<TopicPartitions>> = group.topics.map(|topics| {
        let mut wanted = Vec::with_capacity(topics.len());
        for topic in topics {
            match image.readable_by_id(TopicId(topic.topic_id.to_bytes())) {
                Some(found) => wanted.push(TopicPartitions {
                    name: found.name.to_string(),
                    partitions: topic.partition_indexes,
                }),
                None => unknown.push(unknown_topic(topic.topic_id, topic.partition_indexes)),
            }
        }
        wanted
    });
    let asking = Asking {
        member_id: group.member_id.as_deref(),
        member_epoch: group.member_epoch,
    };
    match fetch(
        broker,
        &group.group_id,
        asking,
        topics.as_deref(),
        require_stable,
    )
    .await
    {
        Ok(topics) => {
            answer.topics = topics
                .into_iter()
                .filter_map(|topic| identified(&image, topic))
                .collect();
            answer.topics.extend(unknown);
        }
        Err(error) => answer.error_code = error.code(),
    }
    answer
}

/// A topic with its id; one that is gone has none.
fn identified(image: &MetadataImage, topic: FetchedTopic) -> Option<OffsetFetchResponseTopics> {
    let found = image.readable(&topic.name)?;
    Some(message!(OffsetFetchResponseTopics {
        topic_id: Uuid::from_bytes(found.id.0),
        partitions: topic
            .partitions
            .into_iter()
            .map(partition_of_many)
            .collect(),
    }))
}

fn unknown_topic(topic_id: Uuid, partitions: Vec<i32>) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|partition_index| {
        message!(OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: NO_OFFSET,
            error_code: ErrorCode::UnknownTopicId.code(),
        })
    });
    message!(OffsetFetchResponseTopics {
        topic_id,
        partitions: partitions.collect()
    })
}
