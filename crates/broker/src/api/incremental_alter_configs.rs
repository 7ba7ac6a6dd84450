//! IncrementalAlterConfigs (key 44), versions 0-1.
//!
//! Behaviour:
//! - Per config: set (0), delete (1), append to (2) or subtract from (3) a list.
//! - Each resource succeeds or fails on its own, whole. One that comes twice is not changed. The same config twice in
//!   a resource is INVALID_REQUEST; append and subtract on something that is no list is INVALID_CONFIG.
//!
//! Versions: 1 flexible (KIP-339).

use std::collections::HashSet;
use std::sync::Arc;

use lastword_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use lastword_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use lastword_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::alter_configs::{ONCE, twice};
use super::config_resource::{self, Resource};
use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::Properties;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: IncrementalAlterConfigsRequest,
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
        message!(IncrementalAlterConfigsResponse { responses })
    };
    context.reply_blocking(work).await
}

fn alter(
    broker: &Broker,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let mut names = HashSet::new();
    if let Some(twice) = resource
        .configs
        .iter()
        .find(|c| !names.insert(c.name.as_str()))
    {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!(
                "Error due to duplicate config keys: {}",
                twice.name.as_str()
            ),
        ));
    }
    let name = resource.resource_name.as_str();
    let found = Resource::find(broker, resource.resource_type, name)?;
    config_resource::alter(broker, found, validate_only, |present| {
        let mut next = present.clone();
        for config in &resource.configs {
            apply(found, &mut next, config)?;
        }
        Ok(next)
    })
}

fn apply(
    resource: Resource<'_>,
    properties: &mut Properties,
    config: &AlterableConfig,
) -> Result<(), ApiError> {
    let name = config.name.as_str();
    if config.config_operation == DELETE {
        properties.remove(name);
        return Ok(());
    }
    let Some(value) = config.value.as_ref().map(StrBytes::as_str) else {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("Null value not supported for: {name}"),
        ));
    };
    let next = match config.config_operation {
        SET => value.to_owned(),
        APPEND | SUBTRACT => edit_list(resource, properties, config, value)?,
        other => {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Unknown operation type {other} for {name}"),
            ));
        }
    };
    properties.insert(name.to_owned(), next);
    Ok(())
}

fn edit_list(
    resource: Resource<'_>,
    properties: &Properties,
    config: &AlterableConfig,
    value: &str,
) -> Result<String, ApiError> {
    let name = config.name.as_str();
    if !resource.has_list(name) {
        return Err(ApiError::new(
            ErrorCode::InvalidConfig,
            format!("Can't append to or subtract from {name}: it is not a list."),
        ));
    }
    let default = resource.entry(name).and_then(|entry| entry.default);
    let present = properties.get(name).map(String::as_str).or(default);
    let items = |text: &str| -> Vec<String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut next = items(present.unwrap_or_default());
    for item in items(value) {
        if config.config_operation == SUBTRACT {
            next.retain(|other| *other != item);
        } else if !next.contains(&item) {
            next.push(item);
        }
    }
    Ok(next.join(","))
}
