//! CreateAcls (key 30), versions 1-3.
//!
//! Behaviour: there is no authorizer, so SECURITY_DISABLED (54) for each ACL, as Kafka answers without one.
//!
//! Versions: 2 flexible. 3 user resources (KIP-373).

use std::sync::Arc;

use lastword_protocol::messages::create_acls_response::AclCreationResult;
use lastword_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use lastword_protocol::{ErrorCode, message};

use super::{NO_AUTHORIZER, Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: CreateAclsRequest,
) -> Reply {
    let refused = message!(AclCreationResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(NO_AUTHORIZER.into()),
    });
    context.reply(&message!(CreateAclsResponse {
        results: vec![refused; request.creations.len()]
    }))
}
