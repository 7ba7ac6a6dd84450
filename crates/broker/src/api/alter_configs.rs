//! AlterConfigs (key 33), versions 0-2.
//!
//! Behaviour:
//! - Replaces all settings of a resource with those given: what is not named returns to its
//!   default. Clients prefer IncrementalAlterConfigs.
//! - Each resource succeeds or fails on its own, whole.
//!
//! Versions: 2 flexible.

use std::sync::Arc;

use lastword_protocol::messages::alter_configs_request::AlterConfigsResource;
use lastword_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use lastword_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext, config_resource};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::Properties;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AlterConfigsRequest,
) -> Reply {
    let broker = broker.clone();
    let work = move || {
        let respond = |resource: &AlterConfigsResource| {
            let outcome = alter(&broker, resource, request.validate_only);
            let error = outcome.err();
            message!(AlterConfigsResourceResponse {
                error_code: error.as_ref().map_or(0, |error| error.code.code()),
                error_message: error.map(|error| StrBytes::from(error.message.as_str())),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            })
        };
        let responses = request.resources.iter().map(respond).collect();
        message!(AlterConfigsResponse { responses })
    };
    context.reply_blocking(work).await
}

fn alter(
    broker: &Broker,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let mut properties = Properties::new();
    for config in &resource.configs {
        let Some(value) = &config.value else {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Null value not supported for: {}", config.name.as_str()),
            ));
        };
        properties.insert(config.name.as_str().to_owned(), value.as_str().to_owned());
    }
    let name = resource.resource_name.as_str();
    config_resource::alter(broker, resource.resource_type, name, validate_only, |_| {
        Ok(properties.clone())
    })
}
