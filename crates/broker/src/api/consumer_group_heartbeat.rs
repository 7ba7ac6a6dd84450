//! ConsumerGroupHeartbeat (key 68), versions 0-1 (KIP-848).
//!
//! Behaviour:
//! - Joins (epoch 0), stays, leaves (-1), leaves for a while (-2). Fields that are null have not
//!   changed since the last heartbeat.
//! - Answered when everything that the answer rests on is durable.
//! - UNSUPPORTED_VERSION when `group.coordinator.rebalance.protocols` is without `consumer`.
//!
//! Versions: 1 regular expressions, and member ids that the consumer makes (KIP-1082).

use std::collections::BTreeMap;
use std::sync::Arc;

use lastword_coordinator::{
    self as coordinator, ConsumerHeartbeatReply, ConsumerHeartbeatRequest, GroupError, TopicId,
};
use lastword_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use lastword_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use lastword_protocol::{StrBytes, Uuid, message};

use super::join_group::random_uuid;
use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> Reply {
    if !broker.config.groups.consumer.is_enabled {
        let reply = ConsumerHeartbeatReply::error(
            GroupError::UnsupportedVersion,
            Some("The consumer group protocol is not enabled on this broker.".to_owned()),
        );
        return context.reply(&response(reply));
    }
    let group_id = request.group_id.clone();
    let pending = match heartbeat_request(context, request) {
        Ok(request) => {
            groups::submit(broker, &group_id, |machine, ticket, now_ms| {
                machine.consumer_heartbeat(&request, ticket, now_ms)
            })
            .await
        }
        Err(error) => Err(error),
    };
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match groups::wait(pending).await {
            Ok(coordinator::Reply::ConsumerHeartbeat(reply)) => reply,
            other => {
                let error = groups::error_of(other);
                ConsumerHeartbeatReply::error(error, Some(error.to_string()))
            }
        };
        context.reply(&response(reply))
    })
}

fn heartbeat_request(
    context: &RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerHeartbeatRequest, GroupError> {
    let owned = request.topic_partitions.map(|topics| {
        let mut owned = BTreeMap::new();
        for topic in topics {
            let id = TopicId(topic.topic_id.to_bytes());
            let partitions: &mut std::collections::BTreeSet<i32> = owned.entry(id).or_default();
            partitions.extend(topic.partitions);
        }
        owned
    });
    let text = |text: Option<StrBytes>| text.as_deref().map(str::to_owned);
    let topic_names = request
        .subscribed_topic_names
        .map(|names| names.iter().map(ToString::to_string).collect());
    Ok(ConsumerHeartbeatRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topic_names,
        topic_regex: text(request.subscribed_topic_regex),
        server_assignor: text(request.server_assignor),
        owned,
        client_id: context.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: format!("/{}", context.peer.ip()),
        api_version: context.api_version,
        uuid: random_uuid()?,
    })
}

fn response(reply: ConsumerHeartbeatReply) -> ConsumerGroupHeartbeatResponse {
    let topic = |(id, partitions): (TopicId, std::collections::BTreeSet<i32>)| {
        message!(TopicPartitions {
            topic_id: Uuid::from_bytes(id.0),
            partitions: partitions.into_iter().collect(),
        })
    };
    let assignment = reply.assignment.map(|assignment| {
        message!(Assignment {
            topic_partitions: assignment.into_iter().map(topic).collect()
        })
    });
    message!(ConsumerGroupHeartbeatResponse {
        error_code: group_code(reply.error),
        error_message: reply.error_message.map(StrBytes::from),
        member_id: reply.member_id.map(StrBytes::from),
        member_epoch: reply.member_epoch,
        heartbeat_interval_ms: reply.heartbeat_interval_ms,
        assignment,
    })
}
