//! AlterClientQuotas (key 49), versions 0-1 (KIP-546).
//!
//! Behaviour:
//! - Quotas are not enforced yet, and a limit that is stored and not enforced would be a lie: a valid change that sets
//!   one is UNSUPPORTED_VERSION (35). Removing one does nothing and succeeds, because none is set.
//! - What Kafka refuses is refused as it does: INVALID_REQUEST. Each entity succeeds or fails on its own.
//!
//! Versions: 1 flexible.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use lastword_protocol::messages::alter_client_quotas_request::{EntryData, OpData};
use lastword_protocol::messages::alter_client_quotas_response::{EntityData, EntryData as Outcome};
use lastword_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;

/// Kinds of entities with the name of each; no name stands for the default.
type Entity = BTreeMap<String, Option<StrBytes>>;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: AlterClientQuotasRequest,
) -> Reply {
    let mut seen: HashSet<Entity> = HashSet::new();
    let mut entries: Vec<Outcome> = Vec::new();
    for entry in &request.entries {
        let entity: Entity = entry
            .entity
            .iter()
            .map(|part| {
                (
                    part.entity_type.as_str().to_owned(),
                    part.entity_name.clone(),
                )
            })
            .collect();
        let outcome = if seen.insert(entity.clone()) {
            alter(&entity, entry)
        } else {
            // One answer for each entity, as in Kafka.
            entries.retain(|other| entity_of(other) != entity);
            invalid("The entity comes more than once in the request.")
        };
        entries.push(answer(entry, outcome));
    }
    context.reply(&message!(AlterClientQuotasResponse { entries }))
}

fn alter(entity: &Entity, entry: &EntryData) -> Result<(), ApiError> {
    check_entity(entity)?;
    let mut keys = HashSet::new();
    if let Some(twice) = entry.ops.iter().find(|op| !keys.insert(op.key.as_str())) {
        return invalid(format!("Quota {} comes twice.", twice.key.as_str()));
    }
    let is_ip = entity.contains_key("ip");
    for op in entry.ops.iter().filter(|op| !op.remove) {
        check_quota(is_ip, op)?;
    }
    if entry.ops.iter().all(|op| op.remove) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedVersion,
        "This broker does not enforce quotas yet, so none can be set. Clients run without a limit.",
    ))
}

fn check_entity(entity: &Entity) -> Result<(), ApiError> {
    if entity.is_empty() {
        return invalid("The entity is empty: name a user, a client-id or an ip.");
    }
    for (kind, name) in entity {
        if !matches!(kind.as_str(), "user" | "client-id" | "ip") {
            return invalid(format!(
                "Entity type {} is none of user, client-id and ip.",
                kind
            ));
        }
        if name.as_ref().is_some_and(|name| name.is_empty()) {
            return invalid(format!("The name of the {} is empty.", kind));
        }
    }
    if let Some(address) = entity.get("ip") {
        if entity.len() > 1 {
            return invalid("ip cannot be combined with user or client-id.");
        }
        if let Some(address) = address
            && address.parse::<IpAddr>().is_err()
        {
            return invalid(format!("{} is not an IP address.", address.as_str()));
        }
    }
    Ok(())
}

fn check_quota(is_ip: bool, op: &OpData) -> Result<(), ApiError> {
    let key = op.key.as_str();
    let largest = match (is_ip, key) {
        (false, "producer_byte_rate" | "consumer_byte_rate") => Some(i64::MAX as f64),
        (false, "request_percentage" | "controller_mutation_rate") => None,
        (true, "connection_creation_rate") => Some(f64::from(i32::MAX)),
        _ => return invalid(format!("{key} is not a quota of this kind of entity.")),
    };
    // Not greater, NaN included.
    if op.value.is_nan() || op.value <= 0.0 {
        return invalid(format!("Quota {key} must be greater than 0."));
    }
    match largest {
        Some(largest) if op.value > largest => invalid(format!("Quota {key} is too large.")),
        Some(_) if op.value.fract() > 1e-6 => {
            invalid(format!("Quota {key} must be a whole number."))
        }
        _ => Ok(()),
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(ErrorCode::InvalidRequest, text))
}

fn answer(entry: &EntryData, outcome: Result<(), ApiError>) -> Outcome {
    let error = outcome.err();
    message!(Outcome {
        error_code: error.as_ref().map_or(0, |error| error.code.code()),
        error_message: error.map(|error| StrBytes::from(error.message.as_str())),
        entity: entry
            .entity
            .iter()
            .map(|part| message!(EntityData {
                entity_type: part.entity_type.clone(),
                entity_name: part.entity_name.clone(),
            }))
            .collect(),
    })
}

fn entity_of(outcome: &Outcome) -> Entity {
    let parts = outcome.entity.iter();
    parts
        .map(|part| {
            (
                part.entity_type.as_str().to_owned(),
                part.entity_name.clone(),
            )
        })
        .collect()
}
