//! DeleteAcls (key 31), versions 1-3.
//!
//! Behaviour: there is no authorizer, so SECURITY_DISABLED (54) for each filter, as Kafka answers without one.
//!
//! Versions: 2 flexible. 3 user resources (KIP-373).

use std::sync::Arc;

use lastword_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use lastword_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};
use lastword_protocol::{ErrorCode, message};

use super::{NO_AUTHORIZER, Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: DeleteAclsRequest,
) -> Reply {
    let refused = message!(DeleteAclsFilterResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(NO_AUTHORIZER.into()),
    });
    context.reply(&message!(DeleteAclsResponse {
        filter_results: vec![refused; request.filters.len()]
    }))
}
