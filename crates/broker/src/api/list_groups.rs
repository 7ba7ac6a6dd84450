//! ListGroups (key 16), versions 0-5.
//!
//! Behaviour:
//! - Every group of the broker; filters compare without regard to case, an empty one lets
//!   everything through.
//! - While any partition of the groups is still being loaded the answer is
//!   COORDINATOR_LOAD_IN_PROGRESS and no group: a list with holes would mislead.
//!
//! Versions: 3 flexible. 4 states, with a filter (KIP-518). 5 types, with a filter (KIP-848).

use std::sync::Arc;

use lastword_protocol::messages::list_groups_response::ListedGroup;
use lastword_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListGroupsRequest,
) -> Reply {
    let listed = match groups::list(broker) {
        Ok(listed) => listed,
        Err(error) => {
            return context.reply(&message!(ListGroupsResponse {
                error_code: error.code()
            }));
        }
    };
    let wanted = listed.into_iter().filter(|group| {
        passes(&request.states_filter, group.state.as_str())
            && passes(&request.types_filter, group.group_type)
    });
    let groups = wanted.map(|group| {
        message!(ListedGroup {
            group_id: StrBytes::from(group.group_id),
            protocol_type: StrBytes::from(group.protocol_type),
            group_state: StrBytes::from(group.state.as_str()),
            group_type: StrBytes::from(group.group_type),
        })
    });
    context.reply(&message!(ListGroupsResponse {
        groups: groups.collect()
    }))
}

fn passes(filter: &[StrBytes], value: &str) -> bool {
    filter.is_empty()
        || filter
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(value))
}
