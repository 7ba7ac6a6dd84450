//! LeaveGroup (key 13), versions 0-5.
//!
//! Behaviour: answered at once, per member; the others are told to rebalance. An administrator
//! removes a static member by its instance id and an empty member id.
//!
//! Versions: 3 many members, with instance ids (KIP-345). 4 flexible. 5 reason (KIP-800).

use std::sync::Arc;

use lastword_coordinator::{self as coordinator, LeaveMember, LeaveReply, LeaveRequest};
use lastword_protocol::messages::leave_group_response::MemberResponse;
use lastword_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

const FIRST_VERSION_WITH_MANY_MEMBERS: i16 = 3;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: LeaveGroupRequest,
) -> Reply {
    let members = if context.api_version >= FIRST_VERSION_WITH_MANY_MEMBERS {
        let member = |member: &lastword_protocol::messages::leave_group_request::MemberIdentity| {
            LeaveMember {
                member_id: member.member_id.to_string(),
                group_instance_id: member.group_instance_id.as_deref().map(str::to_owned),
                reason: member.reason.as_deref().map(str::to_owned),
            }
        };
        request.members.iter().map(member).collect()
    } else {
        let member_id = request.member_id.to_string();
        vec![LeaveMember {
            member_id,
            group_instance_id: None,
            reason: None,
        }]
    };
    let wanted = LeaveRequest {
        group_id: request.group_id.to_string(),
        members,
    };
    let pending = groups::submit(broker, &request.group_id, |machine, ticket, now_ms| {
        machine.leave(wanted, ticket, now_ms)
    })
    .await;
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match groups::wait(pending).await {
            Ok(coordinator::Reply::Leave(reply)) => reply,
            other => LeaveReply {
                error: Some(groups::error_of(other)),
                members: Vec::new(),
            },
        };
        context.reply(&response(context.api_version, reply))
    })
}

fn response(version: i16, reply: LeaveReply) -> LeaveGroupResponse {
    if version < FIRST_VERSION_WITH_MANY_MEMBERS {
        let error_code = group_code(reply.single_error());
        return message!(LeaveGroupResponse { error_code });
    }
    let members = reply.members.into_iter().map(|member| {
        message!(MemberResponse {
            member_id: StrBytes::from(member.member_id),
            group_instance_id: member.group_instance_id.map(StrBytes::from),
            error_code: group_code(member.error),
        })
    });
    message!(LeaveGroupResponse {
        error_code: group_code(reply.error),
        members: members.collect(),
    })
}
