//! ListConfigResources (key 74), versions 0-1.
//!
//! Behaviour:
//! - Lists what can have configs, by type: topics, this broker and its loggers; and what has some: client-metrics
//!   subscriptions and groups. No types means all; another type is UNSUPPORTED_VERSION (35).
//!
//! Versions: 0 client metrics only (KIP-714). 1 by type (KIP-1142).

use std::sync::Arc;

use lastword_protocol::messages::list_config_resources_response::ConfigResource;
use lastword_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::config_resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::metadata::ConfigOwner;

const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> Reply {
    let (version, asked) = (context.api_version, &request.resource_types);
    if asked.iter().any(|kind| !KINDS.contains(kind)) {
        return context.reply(&message!(ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code()
        }));
    }
    let wanted = |kind: i8| match version {
        0 => kind == CLIENT_METRICS,
        _ => asked.is_empty() || asked.contains(&kind),
    };
    let mut config_resources = Vec::new();
    let mut list = |kind: i8, name: &str| {
        if wanted(kind) {
            let mut resource = message!(ConfigResource {
                resource_name: StrBytes::from(name)
            });
            if version >= 1 {
                resource.resource_type = kind;
            }
            config_resources.push(resource);
        }
    };
    let image = broker.metadata.image();
    let node_id = broker.node_id.to_string();
    for (name, _) in image.owners(ConfigOwner::Group) {
        list(GROUP, name);
    }
    for (name, _) in image.owners(ConfigOwner::ClientMetrics) {
        list(CLIENT_METRICS, name);
    }
    list(BROKER_LOGGER, &node_id);
    list(BROKER, &node_id);
    for topic in image.topics() {
        list(TOPIC, &topic.name);
    }
    context.reply(&message!(ListConfigResourcesResponse { config_resources }))
}
