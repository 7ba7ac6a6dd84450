//! IncrementalAlterConfigs (key 44), versions 0-1.
//!
//! Behaviour:
//! - Per config: set (0), delete (1), append to (2) or subtract from (3) a list.
//! - Each resource succeeds or fails on its own, whole. The same config twice in a resource is
//!   INVALID_REQUEST; append and subtract on something that is no list is INVALID_CONFIG.
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
use lastword_storage::config::{ConfigEntry, ConfigType, TOPIC_CONFIGS};

use super::{Reply, RequestContext, config_resource};
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
        let mut seen = HashSet::new();
        let respond = |resource: &AlterConfigsResource| {
            let fresh = seen.insert((resource.resource_type, resource.resource_name.clone()));
            let outcome = if fresh {
                alter(&broker, resource, request.validate_only)
            } else {
                Err(ApiError::new(
                    ErrorCode::InvalidRequest,
                    "Each resource can come only once.",
                ))
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
    config_resource::alter(
        broker,
        resource.resource_type,
        name,
        validate_only,
        |present| {
            let mut next = present.clone();
            for config in &resource.configs {
                apply(&mut next, config)?;
            }
            Ok(next)
        },
    )
}

fn apply(properties: &mut Properties, config: &AlterableConfig) -> Result<(), ApiError> {
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
        APPEND | SUBTRACT => edit_list(properties, config.config_operation, name, value)?,
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
    properties: &Properties,
    operation: i8,
    name: &str,
    value: &str,
) -> Result<String, ApiError> {
    let is_named = |entry: &&ConfigEntry| {
        entry.name == name
            || entry
                .broker_synonyms
                .iter()
                .any(|synonym| synonym.name == name)
    };
    let entry = TOPIC_CONFIGS.iter().find(is_named);
    let Some(entry) = entry.filter(|entry| entry.kind == ConfigType::List) else {
        return Err(ApiError::new(
            ErrorCode::InvalidConfig,
            format!("Can't append to or subtract from {name}: it is not a list."),
        ));
    };
    let present = properties
        .get(name)
        .map(String::as_str)
        .or(entry.default)
        .unwrap_or_default();
    let items = |text: &str| -> Vec<String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut next = items(present);
    for item in items(value) {
        next.retain(|other| *other != item);
        if operation == APPEND {
            next.push(item);
        }
    }
    Ok(next.join(","))
}
