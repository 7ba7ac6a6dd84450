//! Config resources: their type ids, and the settings of one changed.
//!
//! Shared by the three config APIs. A change is checked whole, then written; a topic's logs follow
//! at once.

use lastword_protocol::ErrorCode;

use crate::broker::Broker;
use crate::configs;
use crate::error_map::ApiError;
use crate::metadata::Properties;
use crate::topics;

/// A topic, by name.
pub const TOPIC: i8 = 2;
/// A broker, by node id.
pub const BROKER: i8 = 4;
/// A client-metrics subscription (KIP-714).
pub const CLIENT_METRICS: i8 = 16;
/// A group (KIP-848).
pub const GROUP: i8 = 32;

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
    resource_type: i8,
    name: &str,
    validate_only: bool,
    change: impl Fn(&Properties) -> Result<Properties, ApiError>,
) -> Result<(), ApiError> {
    match resource_type {
        TOPIC => {
            crate::metadata::validate_topic_name(name)?;
            if !validate_only {
                return topics::set_topic_configs(broker, name, change);
            }
            let image = broker.metadata.image();
            let topic = image
                .topic(name)
                .ok_or(ErrorCode::UnknownTopicOrPartition)?;
            topics::log_config(&broker.config, &image, &change(&topic.configs)?).map(|_| ())
        }
        BROKER => {
            if !name.is_empty() {
                check_broker(broker, name)?;
            }
            let checked = |present: &Properties| {
                let next = change(present)?;
                for name in next.keys() {
                    configs::check_dynamic_broker_config(broker, name)?;
                }
                Ok(next)
            };
            if validate_only {
                return checked(broker.metadata.image().broker_configs()).map(|_| ());
            }
            topics::set_broker_configs(broker, checked)
        }
        other => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("Resource type {other} has no configs here: use topics (2) or brokers (4)."),
        )),
    }
}
