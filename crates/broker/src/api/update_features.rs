//! UpdateFeatures (key 57), versions 0-2 (KIP-584, KIP-778).
//!
//! Behaviour: this broker's features have one level each, which no request can change: asked for another one, or for a
//! feature that is not known, INVALID_UPDATE_VERSION (95). Asked for what is in force, nothing happens.
//!
//! Versions: 1 kinds of updates and validation alone. 2 one error for the whole request.

use std::sync::Arc;

use lastword_protocol::messages::update_features_request::FeatureUpdateKey;
use lastword_protocol::messages::update_features_response::UpdatableFeatureResult;
use lastword_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::dispatch::SERVED;
use crate::error_map::ApiError;
use crate::features::features;

/// Upgrade, safe downgrade, unsafe downgrade.
const UPGRADE_TYPES: std::ops::RangeInclusive<i8> = 1..=3;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: UpdateFeaturesRequest,
) -> Reply {
    let version = context.api_version;
    let mut updates = request.feature_updates.iter();
    let refused = updates.find_map(|update| refuse(version, update));
    let mut response = message!(UpdateFeaturesResponse {
        error_message: None
    });
    if let Some(error) = refused {
        response.error_code = error.code.code();
        response.error_message = Some(StrBytes::from(error.message.as_str()));
    } else if version <= 1 {
        response.results = request
            .feature_updates
            .into_iter()
            .map(|update| {
                message!(UpdatableFeatureResult {
                    feature: update.feature
                })
            })
            .collect();
    }
    context.reply(&response)
}

fn refuse(version: i16, update: &FeatureUpdateKey) -> Option<ApiError> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    if version >= 1 && !UPGRADE_TYPES.contains(&update.upgrade_type) {
        let text = format!(
            "Update type {} of {name} is not known.",
            update.upgrade_type
        );
        return Some(ApiError::new(ErrorCode::InvalidUpdateVersion, text));
    }
    let known = features(SERVED).into_iter().find(|it| it.name == name);
    let text = match known.map(|feature| feature.max_level) {
        Some(in_force) if in_force == level => return None,
        Some(in_force) => {
            format!("{name} stays at level {in_force}; this broker cannot work at level {level}.")
        }
        None => format!("Feature {name} is not known to this broker."),
    };
    Some(ApiError::new(ErrorCode::InvalidUpdateVersion, text))
}
