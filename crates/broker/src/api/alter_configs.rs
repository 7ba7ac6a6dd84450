//! AlterConfigs (key 33), versions 0-2.
//!
//! Behaviour:
//! - Replaces all settings of a resource with those given: what is not named returns to its
//!   default. Clients prefer IncrementalAlterConfigs.
//! - Each resource succeeds or fails on its own, whole. One that comes twice is not changed.
//!
//! Versions: 2 flexible.

use std::collections::HashSet;
use std::sync::Arc;

use lastword_protocol::messages::alter_configs_request::AlterConfigsResource;
use lastword_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use lastword_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::config_resource::{self, Resource};
use super::{Reply, RequestContext};
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
        let names = request.resources.iter();
        let twice = twice(names.map(|it| (it.resource_type, it.resource_name.as_str())));
        let respond = |resource: &AlterConfigsResource| {
            let name = resource.resource_name.as_str();
            let outcome = if twice.contains(&(resource.resource_type, name)) {
                Err(ApiError::new(ErrorCode::InvalidRequest, ONCE))
            } else {
                alter(&broker, resource, request.validate_only)
            };
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

/// What a resource is told that comes more than once.
pub(super) const ONCE: &str = "Each resource must appear at most once.";

/// The resources that come more than once: none of their changes is made.
pub(super) fn twice<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> HashSet<(i8, &'a str)> {
    let mut seen = HashSet::new();
    resources
        .filter(|resource| !seen.insert(*resource))
        .collect()
}

fn alter(
    broker: &Broker,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let mut properties = Properties::new();
    for config in &resource.configs {
        let name = config.name.as_str();
        let Some(value) = &config.value else {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Null value not supported for: {name}"),
            ));
        };
        let value = value.as_str().to_owned();
        if properties.insert(name.to_owned(), value).is_some() {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Config {name} comes twice."),
            ));
        }
    }
    let name = resource.resource_name.as_str();
    let found = Resource::find(broker, resource.resource_type, name)?;
    config_resource::alter(broker, found, validate_only, |_| Ok(properties.clone()))
}
