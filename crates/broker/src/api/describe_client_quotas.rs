//! DescribeClientQuotas (key 48), versions 0-1 (KIP-546).
//!
//! Behaviour: quotas cannot be set yet (see AlterClientQuotas), so no entity has any. A filter that Kafka refuses is
//! refused.
//!
//! Versions: 1 flexible.

use std::collections::HashSet;
use std::sync::Arc;

use lastword_protocol::messages::describe_client_quotas_request::ComponentData;
use lastword_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeClientQuotasRequest,
) -> Reply {
    context.reply(&match check(&request.components) {
        Ok(()) => message!(DescribeClientQuotasResponse {
            entries: Some(Vec::new())
        }),
        Err(error) => message!(DescribeClientQuotasResponse {
            error_code: error.code.code(),
            error_message: Some(StrBytes::from(error.message.as_str())),
            entries: None,
        }),
    })
}

fn check(components: &[ComponentData]) -> Result<(), ApiError> {
    let invalid = |text: String| Err(ApiError::new(ErrorCode::InvalidRequest, text));
    let mut kinds = HashSet::new();
    for component in components {
        let kind = component.entity_type.as_str();
        if kind.is_empty() {
            return invalid("An entity type is empty.".to_owned());
        }
        if !kinds.insert(kind) {
            return invalid(format!("Entity type {kind} comes twice in the filter."));
        }
        if !matches!(kind, "user" | "client-id" | "ip") {
            return Err(ApiError::new(
                ErrorCode::UnsupportedVersion,
                format!("Entity type {kind} is none of user, client-id and ip."),
            ));
        }
        match (component.match_type, &component.match_) {
            (EXACT, Some(_)) | (DEFAULT | SPECIFIED, None) => {}
            (EXACT, None) => return invalid(format!("An exact match of {kind} needs a name.")),
            (DEFAULT | SPECIFIED, Some(_)) => {
                return invalid(format!("Only an exact match of {kind} takes a name."));
            }
            (other, _) => return invalid(format!("Match type {other} is not known.")),
        }
    }
    if kinds.contains("ip") && kinds.len() > 1 {
        return invalid("ip cannot be combined with user or client-id.".to_owned());
    }
    Ok(())
}
