//! ListPartitionReassignments (key 46), version 0.
//!
//! Behaviour: a single broker never moves a partition, so there are none.

use std::sync::Arc;

use lastword_protocol::message;
use lastword_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    _request: ListPartitionReassignmentsRequest,
) -> Reply {
    context.reply(&message!(ListPartitionReassignmentsResponse {
        throttle_time_ms: 0
    }))
}
