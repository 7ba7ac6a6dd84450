//! The start-up settings read again while the broker runs (SIGHUP): what can be set on a running broker acts at once, and
//! the rest is named, because it waits for a restart.

use std::collections::BTreeSet;

use super::is_dynamic;
use crate::broker::Broker;
use crate::config::{BrokerConfig, NameKind, kind_of_name};
use crate::error_map::ApiError;
use crate::metadata::Properties;
use crate::topics;

/// What came of it, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// In force now, unless something stronger is set while it runs.
    pub applied: Vec<String>,
    /// They are as they were until the next start.
    pub needs_restart: Vec<String>,
}

/// Compares with what is in force, and applies what can be. Nothing is changed by settings with which the broker would
/// not start.
pub fn reload(broker: &Broker, next: &Properties) -> Result<Reloaded, ApiError> {
    let refused =
        |reason: String| ApiError::new(lastword_protocol::ErrorCode::InvalidConfig, reason);
    BrokerConfig::from_properties(next).map_err(|error| refused(error.to_string()))?;
    let before = broker.config.properties();
    let names: BTreeSet<&String> = before.keys().chain(next.keys()).collect();
    let mut reloaded = Reloaded::default();
    // Those that need a restart stay as they are, in what is shown too.
    let mut applied = (*before).clone();
    for name in names {
        if before.get(name) == next.get(name) || kind_of_name(name) != NameKind::Honoured {
            continue;
        }
        if !is_dynamic(name) {
            reloaded.needs_restart.push(name.clone());
            continue;
        }
        match next.get(name) {
            Some(value) => applied.insert(name.clone(), value.clone()),
            None => applied.remove(name),
        };
        reloaded.applied.push(name.clone());
    }
    if !reloaded.applied.is_empty() {
        topics::replace_static_configs(broker, applied)?;
    }
    Ok(reloaded)
}
