//! From an API key to its handler: one visible match.
//!
//! The version is checked before the body is decoded. A key or version that is not served closes
//! the connection, as Kafka does, except ApiVersions, which tells a newer client what to use.

use std::sync::Arc;

use bytes::Bytes;
use lastword_protocol::messages::KafkaRequest;
use lastword_protocol::{ApiKey, request};

use crate::api::{self, Reply, RequestContext};
use crate::broker::Broker;

/// The APIs ApiVersions offers: exactly those of the match below.
pub(crate) const SERVED: &[ApiKey] = &[ApiKey::ApiVersions];

/// Decodes a request and runs its handler.
pub(crate) async fn dispatch(broker: &Arc<Broker>, context: &RequestContext, body: Bytes) -> Reply {
    let key = context.api_key;
    if !SERVED.contains(&key) {
        return Reply::Close(format!("{} is not served", key.name()));
    }
    if !key.supports(context.api_version) {
        if key == ApiKey::ApiVersions {
            return api::api_versions::unsupported_version(context);
        }
        return Reply::Close(format!("{} v{} is not served", key.name(), context.api_version));
    }
    let outcome = match key {
        ApiKey::ApiVersions => match decode(context, body) {
            Ok(request) => Ok(api::api_versions::handle(broker, context, request).await),
            Err(error) => Err(error),
        },
        _ => Err(format!("{} has no handler", key.name())),
    };
    outcome.unwrap_or_else(Reply::Close)
}

fn decode<R: KafkaRequest>(context: &RequestContext, body: Bytes) -> Result<R, String> {
    request::decode(body, context.api_version).map_err(|error| {
        format!("malformed {} v{} request: {error}", context.api_key.name(), context.api_version)
    })
}
