//! DescribeDelegationToken (key 41), versions 1-3.
//!
//! Behaviour: tokens stand for an authenticated user, and there is no authentication:
//! DELEGATION_TOKEN_REQUEST_NOT_ALLOWED (64), as Kafka answers on a PLAINTEXT listener.
//!
//! Versions: 2 flexible. 3 owners other than the requester (KIP-373).

use std::sync::Arc;

use lastword_protocol::messages::{
    DescribeDelegationTokenRequest, DescribeDelegationTokenResponse,
};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    _request: DescribeDelegationTokenRequest,
) -> Reply {
    context.reply(&message!(DescribeDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code()
    }))
}
