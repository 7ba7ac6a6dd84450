//! ListConfigResources (key 74), versions 0-1.
//!
//! Behaviour:
//! - Lists the resources that can have configs: topics and this broker. There are no client-metrics
//!   subscriptions and no group configs.
//!
//! Versions: 0 client metrics only (KIP-714), so always empty. 1 by type (KIP-1142).

use std::sync::Arc;

use lastword_protocol::messages::list_config_resources_response::ConfigResource;
use lastword_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext, config_resource};
use crate::broker::Broker;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> Reply {
    let wanted = |resource_type: i8| {
        context.api_version >= 1
            && (request.resource_types.is_empty()
                || request.resource_types.contains(&resource_type))
    };
    let resource = |resource_type: i8, name: &str| {
        message!(ConfigResource {
            resource_name: StrBytes::from(name),
            resource_type
        })
    };
    let mut config_resources = Vec::new();
    if wanted(config_resource::TOPIC) {
        let image = broker.metadata.image();
        config_resources.extend(
            image
                .topics()
                .map(|t| resource(config_resource::TOPIC, &t.name)),
        );
    }
    if wanted(config_resource::BROKER) {
        config_resources.push(resource(
            config_resource::BROKER,
            &broker.node_id.to_string(),
        ));
    }
    context.reply(&message!(ListConfigResourcesResponse { config_resources }))
}
