//! RenewDelegationToken (key 39), versions 1-2.
//!
//! Behaviour: tokens stand for an authenticated user, and there is no authentication:
//! DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), as Kafka answers on a PLAINTEXT listener.
//!
//! Versions: 2 flexible.

use std::sync::Arc;

use lastword_protocol::messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    _request: RenewDelegationTokenRequest,
) -> Reply {
    context.reply(&message!(RenewDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: -1,
    }))
}
