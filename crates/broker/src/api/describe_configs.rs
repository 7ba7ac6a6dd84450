//! DescribeConfigs (key 32), versions 1-4.
//!
//! Behaviour:
//! - Resources: a topic (2) and this broker (4, by its node id, or "" for the default of all
//!   brokers, which lists what was set dynamically for all), client metrics (16) and groups (32). Others are
//!   INVALID_REQUEST.
//! - `configuration_keys` selects by name; names that do not exist are left out.
//! - Every value says where it comes from; synonyms and documentation on request.
//!
//! Versions: 1 synonyms and sources. 3 types and documentation (KIP-569). 4 flexible.

use std::sync::Arc;

use lastword_protocol::messages::describe_configs_request::DescribeConfigsResource;
use lastword_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use lastword_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};
use lastword_storage::config::ConfigType;

use super::config_resource::{self, Resource};
use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::configs::{self, ConfigView};
use crate::error_map::ApiError;
use crate::metadata::{topic_of_view, validate_topic_name};

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeConfigsRequest,
) -> Reply {
    let shape = Shape {
        version: context.api_version,
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request
        .resources
        .iter()
        .map(|r| describe(broker, &shape, r))
        .collect();
    context.reply(&message!(DescribeConfigsResponse { results }))
}

/// What the client wants to see of each config.
struct Shape {
    version: i16,
    synonyms: bool,
    documentation: bool,
}

fn describe(
    broker: &Broker,
    shape: &Shape,
    resource: &DescribeConfigsResource,
) -> DescribeConfigsResult {
    let mut result = message!(DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
    });
    match find(broker, resource) {
        Ok(views) => {
            let wanted = |view: &ConfigView| match &resource.configuration_keys {
                None => true,
                Some(keys) if keys.is_empty() => true,
                Some(keys) => keys.iter().any(|key| key.as_str() == view.name),
            };
            result.configs = views
                .iter()
                .filter(|v| wanted(v))
                .map(|v| show(shape, v))
                .collect();
        }
        Err(error) => {
            result.error_code = error.code.code();
            result.error_message = Some(StrBytes::from(error.message.as_str()));
        }
    }
    result
}

fn find(broker: &Broker, resource: &DescribeConfigsResource) -> Result<Vec<ConfigView>, ApiError> {
    let mut name = resource.resource_name.as_str();
    if resource.resource_type == config_resource::TOPIC {
        // A state view has no configs of its own.
        name = topic_of_view(name).unwrap_or(name);
    }
    if let (config_resource::TOPIC, name) = (resource.resource_type, name) {
        validate_topic_name(name)?;
    }
    match Resource::find(broker, resource.resource_type, name)? {
        Resource::Topic(name) => {
            let image = broker.metadata.image();
            let topic = image
                .topic(name)
                .ok_or(ErrorCode::UnknownTopicOrPartition)?;
            Ok(configs::topic_configs(broker, &topic.configs))
        }
        Resource::Broker => Ok(configs::broker_configs(broker)),
        Resource::AllBrokers => Ok(configs::default_broker_configs(broker)),
        Resource::Owned(owner, name) => Ok(configs::owned_configs(broker, owner, name)),
    }
}

fn show(shape: &Shape, view: &ConfigView) -> DescribeConfigsResourceResult {
    let mut shown = message!(DescribeConfigsResourceResult {
        name: StrBytes::from(view.name),
        value: view.value.as_deref().map(StrBytes::from),
        read_only: view.read_only,
        config_source: view.source.id(),
    });
    if shape.synonyms {
        shown.synonyms = view
            .synonyms
            .iter()
            .map(|synonym| {
                message!(DescribeConfigsSynonym {
                    name: StrBytes::from(synonym.name),
                    value: synonym.value.as_deref().map(StrBytes::from),
                    source: synonym.source.id(),
                })
            })
            .collect();
    }
    if shape.version >= 3 {
        shown.config_type = type_id(view.kind);
        shown.documentation = shape.documentation.then(|| StrBytes::from(view.doc));
    }
    shown
}

fn type_id(kind: ConfigType) -> i8 {
    match kind {
        ConfigType::Boolean => 1,
        ConfigType::Text => 2,
        ConfigType::Int => 3,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
    }
}
