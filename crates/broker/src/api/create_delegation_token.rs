//! CreateDelegationToken (key 38), versions 1-3.
//!
//! Behaviour: tokens stand for an authenticated user, and there is no authentication:
//! DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), as Kafka answers on a PLAINTEXT listener.
//!
//! Versions: 2 flexible. 3 owners other than the requester (KIP-373).

use std::sync::Arc;

use lastword_protocol::messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

/// Who asks without authentication.
const USER: &str = "User";
const ANONYMOUS: &str = "ANONYMOUS";

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    _request: CreateDelegationTokenRequest,
) -> Reply {
    let mut response = message!(CreateDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        principal_type: USER.into(),
        principal_name: ANONYMOUS.into(),
        issue_timestamp_ms: -1,
        expiry_timestamp_ms: -1,
        max_timestamp_ms: -1,
    });
    if context.api_version >= 3 {
        response.token_requester_principal_type = USER.into();
        response.token_requester_principal_name = ANONYMOUS.into();
    }
    context.reply(&response)
}
