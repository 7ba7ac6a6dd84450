//! FindCoordinator (key 10), versions 0-6.
//!
//! Behaviour:
//! - The coordinator of every group is this broker. The first question creates
//!   `__consumer_offsets`.
//! - Transactions and share groups have no coordinator here: INVALID_REQUEST (42) with a message,
//!   which clients take as final instead of asking again for ever.
//!
//! Versions: 1 key type. 3 flexible. 4 many keys (KIP-699). 6 share groups (KIP-932).

use std::sync::Arc;

use lastword_protocol::messages::find_coordinator_response::Coordinator;
use lastword_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::partition::run_blocking;
use crate::topics;

const GROUP: i8 = 0;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: FindCoordinatorRequest,
) -> Reply {
    let found = match request.key_type {
        GROUP => ensure_group_topic(broker).await,
        other => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("there is no coordinator of type {other}: transactions are not supported"),
        )),
    };
    let response = if context.api_version < 4 {
        match found {
            Ok(()) => message!(FindCoordinatorResponse {
                node_id: broker.node_id,
                host: broker.endpoint.host.clone(),
                port: broker.endpoint.port,
            }),
            Err(error) => message!(FindCoordinatorResponse {
                error_code: error.code.code(),
                error_message: Some(error.message.into()),
                node_id: -1,
                port: -1,
            }),
        }
    } else {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| coordinator(broker, key, &found)).collect();
        message!(FindCoordinatorResponse { coordinators })
    };
    context.reply(&response)
}

fn coordinator(broker: &Broker, key: StrBytes, found: &Result<(), ApiError>) -> Coordinator {
    match found {
        Ok(()) => message!(Coordinator {
            key,
            node_id: broker.node_id,
            host: broker.endpoint.host.clone(),
            port: broker.endpoint.port,
        }),
        Err(error) => message!(Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code.code(),
            error_message: Some(error.message.as_str().into()),
        }),
    }
}

async fn ensure_group_topic(broker: &Arc<Broker>) -> Result<(), ApiError> {
    if broker
        .metadata
        .image()
        .topic(GROUP_METADATA_TOPIC)
        .is_some()
    {
        return Ok(());
    }
    let new_topic = topics::default_topic(&broker.config, GROUP_METADATA_TOPIC);
    let creating = broker.clone();
    match run_blocking(move || topics::create_topic(&creating, &new_topic)).await? {
        Err(error) if error.code != ErrorCode::TopicAlreadyExists => Err(error),
        _ => Ok(()),
    }
}
