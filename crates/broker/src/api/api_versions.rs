//! ApiVersions (key 18), versions 0-4.
//!
//! Behaviour:
//! - Lists the APIs of the dispatch table with their versions.
//! - The response header is v0 in every version.
//! - A version that is not known is answered in v0 with UNSUPPORTED_VERSION (35) and the list, so
//!   that a newer client can choose and ask again.
//! - A client software name that is not `[A-Za-z0-9][A-Za-z0-9.-]*` is INVALID_REQUEST, as in
//!   Kafka.
//! - From version 3 on, the features and their finalized levels. Version 3 cannot say that a feature
//!   may be off, and leaves those out that may; their finalized levels are there all the same.
//!
//! Versions: 1 throttle time. 3 flexible, client software name and version (KIP-511), features
//! (KIP-584). 4 allows features with a minimum version of 0 (KIP-853).

use std::sync::Arc;

use lastword_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use lastword_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::dispatch::SERVED;
use crate::features::{self, features};

const FIRST_VERSION_WITH_LEVEL_0: i16 = 4;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: ApiVersionsRequest,
) -> Reply {
    let named = context.api_version >= 3;
    let valid = !named
        || (is_valid_software_name(&request.client_software_name)
            && is_valid_software_name(&request.client_software_version));
    let code = if valid {
        ErrorCode::None
    } else {
        ErrorCode::InvalidRequest
    };
    let mut response = versions(code);
    if named {
        list_features(&mut response, context.api_version);
    }
    context.reply(&response)
}

fn list_features(response: &mut ApiVersionsResponse, api_version: i16) {
    for feature in features(SERVED) {
        if api_version >= FIRST_VERSION_WITH_LEVEL_0 || feature.min_level > 0 {
            response
                .supported_features
                .push(message!(SupportedFeatureKey {
                    name: feature.name.into(),
                    min_version: feature.min_level,
                    max_version: feature.max_level,
                }));
        }
        response
            .finalized_features
            .push(message!(FinalizedFeatureKey {
                name: feature.name.into(),
                min_version_level: feature.max_level,
                max_version_level: feature.max_level,
            }));
    }
    response.finalized_features_epoch = features::EPOCH;
}

/// The answer to a version that is not served.
pub(crate) fn unsupported_version(context: &RequestContext) -> Reply {
    let context = RequestContext {
        api_version: 0,
        ..context.clone()
    };
    context.reply(&versions(ErrorCode::UnsupportedVersion))
}

fn versions(code: ErrorCode) -> ApiVersionsResponse {
    let api_keys = SERVED
        .iter()
        .map(|key| {
            message!(ApiVersion {
                api_key: key.as_i16(),
                min_version: key.advertised_min(),
                max_version: key.versions().1,
            })
        })
        .collect();
    message!(ApiVersionsResponse {
        error_code: code.code(),
        api_keys
    })
}

fn is_valid_software_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .last()
            .is_some_and(|last| last.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}
