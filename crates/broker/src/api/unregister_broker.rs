//! UnregisterBroker (key 64), version 0 (KIP-631).
//!
//! Behaviour: no other broker is registered, so any other id is BROKER_ID_NOT_REGISTERED (102). This broker is here as
//! long as it answers: taking itself away is INVALID_REQUEST (42). Kafka's single node does it, and is back when it
//! starts again.

use std::sync::Arc;

use lastword_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: UnregisterBrokerRequest,
) -> Reply {
    let id = request.broker_id;
    let (code, text) = if id == broker.node_id {
        let text = "This is the only broker; stop it instead of unregistering it.".to_owned();
        (ErrorCode::InvalidRequest, text)
    } else {
        let text = format!(
            "Broker {id} is not registered; there is one broker, {}.",
            broker.node_id
        );
        (ErrorCode::BrokerIdNotRegistered, text)
    };
    context.reply(&message!(UnregisterBrokerResponse {
        error_code: code.code(),
        error_message: Some(StrBytes::from(text.as_str())),
    }))
}
