//! JoinGroup (key 11), versions 0-9.
//!
//! Behaviour:
//! - Answered when the rebalance is complete: by all members joining, or by its time-out. The first
//!   rebalance of a group waits `group.initial.rebalance.delay.ms` for more members.
//! - The leader gets all members with their metadata, the others none.
//! - From version 4 a new dynamic member is first told MEMBER_ID_REQUIRED with its member id
//!   (KIP-394).
//!
//! Versions: 1 rebalance timeout. 5 static members (KIP-345). 6 flexible. 7 protocol type, null
//! protocol name. 8 reason (KIP-800). 9 skip assignment (KIP-814).

use std::sync::Arc;

use lastword_coordinator::{self as coordinator, GroupError, JoinProtocol, JoinReply, JoinRequest};
use lastword_protocol::messages::join_group_response::JoinGroupResponseMember;
use lastword_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use lastword_protocol::{Bytes, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: JoinGroupRequest,
) -> Reply {
    let member_id = request.member_id.to_string();
    let group_id = request.group_id.clone();
    let pending = match join_request(context, request) {
        Ok(request) => {
            groups::submit(broker, &group_id, |machine, ticket, now_ms| {
                machine.join(request, ticket, now_ms)
            })
            .await
        }
        Err(error) => Err(error),
    };
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match groups::wait(pending).await {
            Ok(coordinator::Reply::Join(reply)) => reply,
            other => JoinReply::error(&member_id, groups::error_of(other)),
        };
        context.reply(&response(context.api_version, reply))
    })
}

fn join_request(
    context: &RequestContext,
    request: JoinGroupRequest,
) -> Result<JoinRequest, GroupError> {
    // The metadata lives as long as the member; as a slice it would keep the whole frame.
    let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let protocols = request.protocols.iter().map(|protocol| JoinProtocol {
        name: protocol.name.to_string(),
        metadata: own(&protocol.metadata),
    });
    Ok(JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        client_id: context.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: format!("/{}", context.peer.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        reason: request.reason.as_deref().map(str::to_owned),
        api_version: context.api_version,
        uuid: random_uuid()?,
    })
}

fn response(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let member = |member: coordinator::JoinMember| {
        message!(JoinGroupResponseMember {
            member_id: StrBytes::from(member.member_id),
            group_instance_id: member.group_instance_id.map(StrBytes::from),
            metadata: member.metadata,
        })
    };
    let mut protocol_name = reply.protocol_name.map(StrBytes::from);
    if version < 7 {
        protocol_name = Some(protocol_name.unwrap_or_default());
    }
    message!(JoinGroupResponse {
        error_code: group_code(reply.error),
        generation_id: reply.generation_id,
        protocol_type: reply.protocol_type.map(StrBytes::from),
        protocol_name,
        leader: StrBytes::from(reply.leader),
        skip_assignment: reply.skip_assignment && version >= 9,
        member_id: StrBytes::from(reply.member_id),
        members: reply.members.into_iter().map(member).collect(),
    })
}

/// A random uuid (version 4) in its usual form.
pub(super) fn random_uuid() -> Result<String, GroupError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes for a member id");
        GroupError::UnknownServerError
    })?;
    let value = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{value:032x}");
    let parts = [
        hex.get(..8),
        hex.get(8..12),
        hex.get(12..16),
        hex.get(16..20),
        hex.get(20..),
    ];
    Ok(parts.map(Option::unwrap_or_default).join("-"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_random_uuid_has_version_4_and_its_variant() {
        let uuid = super::random_uuid().unwrap();
        let parts: Vec<&str> = uuid.split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert!(parts[2].starts_with('4'), "{uuid}");
        assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{uuid}");
    }
}
