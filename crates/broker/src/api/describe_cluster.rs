//! DescribeCluster (key 60), versions 0-2.
//!
//! Behaviour: the one broker, which is its own controller. Asked for controllers (endpoint type
//! 2), a broker answers MISMATCHED_ENDPOINT_TYPE (114).
//!
//! Versions: 1 endpoint types (KIP-919). 2 fenced brokers (KIP-1073): there are none.

use std::sync::Arc;

use lastword_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use lastword_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{CLUSTER_OPERATIONS, Reply, RequestContext};
use crate::broker::Broker;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> Reply {
    let error = match request.endpoint_type {
        BROKERS => ErrorCode::None,
        CONTROLLERS => ErrorCode::MismatchedEndpointType,
        _ => ErrorCode::UnsupportedEndpointType,
    };
    if !error.is_none() {
        return context.reply(&message!(DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(error.message().into()),
        }));
    }
    let mut response = message!(DescribeClusterResponse {
        cluster_id: broker.cluster_id.clone(),
        controller_id: broker.node_id,
        brokers: vec![message!(DescribeClusterBroker {
            broker_id: broker.node_id,
            host: context.endpoint.host.clone(),
            port: context.endpoint.port,
            rack: broker.config.rack.as_deref().map(StrBytes::from),
        })],
    });
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    context.reply(&response)
}
