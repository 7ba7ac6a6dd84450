//! Config resources: their type ids, and the settings of one changed.
//!
//! Shared by the config APIs. A change is checked whole, then written; what it is about follows at once.

use lastword_protocol::ErrorCode;
use lastword_storage::config::{ConfigEntry, ConfigType, TOPIC_CONFIGS};

use crate::broker::Broker;
use crate::configs;
use crate::error_map::ApiError;
use crate::metadata::{ConfigOwner, MetadataImage, Properties, validate_topic_name};
use crate::topics;

/// A topic, by name.
pub const TOPIC: i8 = 2;
/// A broker, by node id; without a name, all brokers.
pub const BROKER: i8 = 4;
/// The loggers of a broker, by node id.
pub const BROKER_LOGGER: i8 = 8;
/// A client-metrics subscription (KIP-714).
pub const CLIENT_METRICS: i8 = 16;
/// A group (KIP-848).
pub const GROUP: i8 = 32;

/// Whose settings are changed.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// This broker.
    Broker,
    /// All brokers.
    AllBrokers,
    /// A group or a client-metrics subscription.
    Owned(ConfigOwner, &'a str),
}

impl<'a> Resource<'a> {
    /// The resource that a request names.
    pub fn find(broker: &Broker, kind: i8, name: &'a str) -> Result<Resource<'a>, ApiError> {
        let owned = |owner| match name {
            "" => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "The name is empty: there are no defaults for groups and client metrics.",
            )),
            name => Ok(Resource::Owned(owner, name)),
        };
        match (kind, name) {
            (TOPIC, "") => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "The name is empty: defaults of all topics are set on the broker.",
            )),
            (TOPIC, name) => Ok(Resource::Topic(name)),
            (BROKER, "") => Ok(Resource::AllBrokers),
            (BROKER, name) => check_broker(broker, name).map(|()| Resource::Broker),
            (CLIENT_METRICS, _) => owned(ConfigOwner::ClientMetrics),
            (GROUP, _) => owned(ConfigOwner::Group),
            _ => Err(unknown_kind(kind)),
        }
    }

    /// The config of this name, for what has lists.
    pub fn entry(self, name: &str) -> Option<&'static ConfigEntry> {
        match self {
            Resource::Topic(_) => ConfigEntry::topic(name),
            Resource::Owned(owner, _) => configs::owned_entry(owner, name),
            Resource::Broker | Resource::AllBrokers => TOPIC_CONFIGS.iter().find(|entry| {
                let mut names = entry.broker_synonyms.iter();
                names.any(|synonym| synonym.name == name)
            }),
        }
    }

    /// Whether a setting of this name is a list, to which items can be added.
    pub fn has_list(self, name: &str) -> bool {
        self.entry(name)
            .is_some_and(|entry| entry.kind == ConfigType::List)
    }
}

/// What a resource type that has no configs is told.
pub fn unknown_kind(kind: i8) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidRequest,
        format!(
            "Resource type {kind} has no configs: use topics (2), brokers (4), client metrics (16) or groups (32)."
        ),
    )
}

/// Refuses a broker name that is not this broker's id.
pub fn check_broker(broker: &Broker, name: &str) -> Result<(), ApiError> {
    if name.parse() == Ok(broker.node_id) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidRequest,
        format!(
            "Unexpected broker id, expected {} but received {name}",
            broker.node_id
        ),
    ))
}

/// Changes the settings of a resource. `change` gets the present ones and returns the next.
pub fn alter(
    broker: &Broker,
    resource: Resource<'_>,
    validate_only: bool,
    change: impl Fn(&Properties) -> Result<Properties, ApiError>,
) -> Result<(), ApiError> {
    match resource {
        Resource::Topic(name) => {
            validate_topic_name(name)?;
            if !validate_only {
                return topics::set_topic_configs(broker, name, change);
            }
            let image = broker.metadata.image();
            let topic = image
                .topic(name)
                .ok_or(ErrorCode::UnknownTopicOrPartition)?;
            topics::log_config(&broker.config, &image, &change(&topic.configs)?).map(|_| ())
        }
        Resource::Broker => {
            let next = |image: &MetadataImage| {
                let next = change(image.own_broker_configs())?;
                configs::check_dynamic_broker_configs(&next)?;
                Ok(image.clone().with_broker_configs(next))
            };
            topics::set_broker_configs(broker, validate_only, next)
        }
        Resource::AllBrokers => {
            let next = |image: &MetadataImage| {
                let next = change(image.default_broker_configs())?;
                configs::check_dynamic_broker_configs(&next)?;
                Ok(image.clone().with_default_broker_configs(next))
            };
            topics::set_broker_configs(broker, validate_only, next)
        }
        Resource::Owned(owner, name) => {
            let none = Properties::new();
            let next = |image: &MetadataImage| {
                let next = change(image.owned_configs(owner, name).unwrap_or(&none))?;
                configs::check_owned_configs(broker, owner, name, &next)?;
                Ok::<_, ApiError>(image.clone().with_owned_configs(owner, name, next))
            };
            if validate_only {
                return next(&broker.metadata.image()).map(|_| ());
            }
            broker.metadata.update(|image| Ok((next(image)?, ())))
        }
    }
}
