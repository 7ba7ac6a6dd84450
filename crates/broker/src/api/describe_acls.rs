//! DescribeAcls (key 29), versions 1-3.
//!
//! Behaviour: there is no authorizer, so SECURITY_DISABLED (54), as Kafka answers without one.
//!
//! Versions: 2 flexible. 3 user resources (KIP-373).

use std::sync::Arc;

use lastword_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use lastword_protocol::{ErrorCode, message};

use super::{NO_AUTHORIZER, Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    _request: DescribeAclsRequest,
) -> Reply {
    context.reply(&message!(DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(NO_AUTHORIZER.into()),
    }))
}
