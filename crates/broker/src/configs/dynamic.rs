//! Which configs of the broker can be set while it runs.
//!
//! They act at once: defaults of topics on every log that has no setting of its own, those of the cleaner on its
//! threads and throttle, limits of connections on the next connection, `producer.id.expiration.ms` on the next look.
//! Names of Kafka's that mean nothing on one broker are taken as they are at the start: kept, shown, without effect.
//! Everything else is refused, unknown names too, where Kafka keeps them for its plug-ins.

use lastword_protocol::ErrorCode;
use lastword_storage::config::{CLEANER_CONFIGS, TOPIC_CONFIGS};

use crate::config::{self, BrokerConfigEntry, Update};
use crate::error_map::ApiError;
use crate::metadata::Properties;

/// Whether a broker config can be set while the broker runs. Of names for one thing only the first can, as in Kafka.
pub fn is_dynamic(name: &str) -> bool {
    let mut topic_defaults = TOPIC_CONFIGS
        .iter()
        .filter_map(|entry| entry.broker_synonyms.first());
    topic_defaults.any(|synonym| synonym.name == name)
        // Whether there is a cleaner at all is settled at the start.
        || (name != "log.cleaner.enable" && CLEANER_CONFIGS.iter().any(|it| it.name == name))
        || BrokerConfigEntry::find(name).is_some_and(|entry| entry.update != Update::AtStart)
}

/// Checks settings for a running broker: the names, and each value by itself. What they mean for topics and for the
/// cleaner is checked where they are applied.
pub fn check_dynamic_broker_configs(next: &Properties) -> Result<(), ApiError> {
    for (name, value) in next {
        if !is_dynamic(name) {
            return Err(refused(name));
        }
        if let Some(entry) = BrokerConfigEntry::find(name) {
            entry
                .check(value)
                .map_err(|error| ApiError::new(ErrorCode::InvalidRequest, error.to_string()))?;
        }
    }
    Ok(())
}

fn refused(name: &str) -> ApiError {
    let reason = if config::is_known(name) {
        format!(
            "Cannot update {name} while the broker runs: set it at start, with --set or in the file."
        )
    } else {
        format!("Unknown broker config {name}.")
    };
    ApiError::new(ErrorCode::InvalidRequest, reason)
}
