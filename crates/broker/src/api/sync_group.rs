//! SyncGroup (key 14), versions 0-5.
//!
//! Behaviour:
//! - The leader brings everybody's assignment; each member is answered with its own once the
//!   leader's is stored.
//! - A protocol type or name (version 5) that is not the group's is INCONSISTENT_GROUP_PROTOCOL.
//!
//! Versions: 3 static members (KIP-345). 4 flexible. 5 protocol type and name (KIP-559).

use std::sync::Arc;

use lastword_coordinator::{self as coordinator, SyncAssignment, SyncReply, SyncRequest};
use lastword_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use lastword_protocol::{Bytes, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: SyncGroupRequest,
) -> Reply {
    // Assignments live as long as the generation; as slices they would keep the whole frame.
    let assignments = request.assignments.iter().map(|each| SyncAssignment {
        member_id: each.member_id.to_string(),
        assignment: Bytes::copy_from_slice(&each.assignment),
    });
    let wanted = SyncRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        protocol_type: request.protocol_type.as_deref().map(str::to_owned),
        protocol_name: request.protocol_name.as_deref().map(str::to_owned),
        assignments: assignments.collect(),
        api_version: context.api_version,
    };
    let pending = groups::submit(broker, &request.group_id, |machine, ticket, now_ms| {
        machine.sync(wanted, ticket, now_ms)
    })
    .await;
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match groups::wait(pending).await {
            Ok(coordinator::Reply::Sync(reply)) => reply,
            other => SyncReply::error(groups::error_of(other)),
        };
        context.reply(&message!(SyncGroupResponse {
            error_code: group_code(reply.error),
            protocol_type: reply.protocol_type.map(StrBytes::from),
            protocol_name: reply.protocol_name.map(StrBytes::from),
            assignment: reply.assignment,
        }))
    })
}
