//! Heartbeat (key 12), versions 0-4.
//!
//! Behaviour: answered at once. REBALANCE_IN_PROGRESS asks the member to join again. While the
//! group is being loaded a heartbeat is fine, whoever sends it.
//!
//! Versions: 3 static members (KIP-345). 4 flexible.

use std::sync::Arc;

use lastword_coordinator as coordinator;
use lastword_protocol::message;
use lastword_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: HeartbeatRequest,
) -> Reply {
    let beat = coordinator::HeartbeatRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_deref().map(str::to_owned),
    };
    let outcome = groups::query(broker, &request.group_id, |machine, now_ms| {
        machine.heartbeat(&beat, now_ms)
    })
    .await;
    context.reply(&message!(HeartbeatResponse {
        error_code: group_code(outcome.err())
    }))
}
