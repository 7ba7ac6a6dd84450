//! DescribeGroups (key 15), versions 0-6.
//!
//! Behaviour:
//! - A group that does not exist is in the state `Dead`; from version 6 it is GROUP_ID_NOT_FOUND as
//!   well.
//! - Metadata and protocol are known while the group is Stable only.
//! - Nobody is refused anything here, so the authorized operations are all there are.
//!
//! Versions: 3 authorized operations (KIP-430). 4 group instance id (KIP-345). 5 flexible. 6 error
//! message, GROUP_ID_NOT_FOUND (KIP-1043).

use std::sync::Arc;

use lastword_coordinator::{self as coordinator, GroupError, GroupState};
use lastword_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use lastword_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;

/// READ (3), DELETE (6) and DESCRIBE (8), a bit each.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
const FIRST_VERSION_WITH_NOT_FOUND: i16 = 6;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeGroupsRequest,
) -> Reply {
    let mut described = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        let found =
            groups::query(broker, &group_id, |machine, _| machine.describe(&group_id)).await;
        let mut group = match found {
            Ok(group) => describe(group_id, group),
            Err(error) => undescribed(context.api_version, group_id, error),
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        described.push(group);
    }
    context.reply(&message!(DescribeGroupsResponse { groups: described }))
}

fn describe(group_id: StrBytes, group: coordinator::DescribedGroup) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| {
        message!(DescribedGroupMember {
            member_id: StrBytes::from(member.member_id),
            group_instance_id: member.group_instance_id.map(StrBytes::from),
            client_id: StrBytes::from(member.client_id),
            client_host: StrBytes::from(member.client_host),
            member_metadata: member.metadata,
            member_assignment: member.assignment,
        })
    });
    message!(DescribedGroup {
        group_id,
        group_state: StrBytes::from(group.state.as_str()),
        protocol_type: StrBytes::from(group.protocol_type),
        protocol_data: StrBytes::from(group.protocol_data),
        members: members.collect(),
    })
}

fn undescribed(version: i16, group_id: StrBytes, error: GroupError) -> DescribedGroup {
    let mut group = message!(DescribedGroup { group_id });
    if error == GroupError::GroupIdNotFound {
        group.group_state = StrBytes::from(GroupState::Dead.as_str());
        if version < FIRST_VERSION_WITH_NOT_FOUND {
            return group;
        }
        let message = format!("Group {} not found.", group.group_id.as_str());
        group.error_message = Some(StrBytes::from(message));
    }
    group.error_code = error.code();
    group
}
