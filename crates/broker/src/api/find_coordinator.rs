//! FindCoordinator (key 10), versions 0-6.
//!
//! Behaviour:
//! - There is one broker, so it coordinates every group and every transactional id. Asking for one
//!   creates `__consumer_offsets` or `__transaction_state` when it is not there yet.
//! - Share groups have no coordinator here: INVALID_REQUEST with a message, which clients take as
//!   final instead of asking again for ever.
//!
//! Versions: 1 key type, error message. 3 flexible. 4 many keys at once (KIP-699). 5 same as 4
//! (KIP-890). 6 share groups as a key type (KIP-932), not served.

use std::sync::Arc;

use lastword_protocol::messages::find_coordinator_response::Coordinator;
use lastword_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::{groups, transactions};
use crate::error_map::ApiError;

const FIRST_VERSION_WITH_MANY_KEYS: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: FindCoordinatorRequest,
) -> Reply {
    let key_type = request.key_type;
    if context.api_version >= FIRST_VERSION_WITH_MANY_KEYS {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(broker, context, key_type, key).await);
        }
        return context.reply(&message!(FindCoordinatorResponse { coordinators }));
    }
    let found = find(broker, context, key_type, request.key).await;
    context.reply(&message!(FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
    }))
}

async fn find(
    broker: &Arc<Broker>,
    context: &RequestContext,
    key_type: i8,
    key: StrBytes,
) -> Coordinator {
    match coordinates(broker, key_type, &key).await {
        Ok(()) => message!(Coordinator {
            key,
            node_id: broker.node_id,
            host: context.endpoint.host.clone(),
            port: context.endpoint.port,
        }),
        Err(error) => message!(Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code.code(),
            error_message: Some(StrBytes::from(error.message)),
        }),
    }
}

async fn coordinates(broker: &Arc<Broker>, key_type: i8, key: &str) -> Result<(), ApiError> {
    match key_type {
        GROUP => {
            groups::shard_of(broker, key).await?;
            Ok(())
        }
        TRANSACTION => {
            transactions::shard_of(broker, key).await?;
            Ok(())
        }
        other => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("The coordinator key type {other} is not supported."),
        )),
    }
}
