//! InitProducerId (key 22), versions 0-5.
//!
//! Behaviour:
//! - Without a transactional id: a producer id never used before, epoch 0. The id and epoch a
//!   client brings along do not matter, as in Kafka.
//! - With one: INVALID_REQUEST (42); there are no transactions. Clients take it as final.
//!
//! Versions: 2 flexible. 3 the producer brings its id and epoch (KIP-360). 5 transactions v2.

use std::sync::Arc;

use lastword_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::partition::run_blocking;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: InitProducerIdRequest,
) -> Reply {
    let response = match allocate(broker, request).await {
        Ok(producer_id) => message!(InitProducerIdResponse {
            producer_id,
            producer_epoch: 0
        }),
        Err(error) => message!(InitProducerIdResponse {
            error_code: error.code.code(),
            producer_id: -1,
            producer_epoch: -1,
        }),
    };
    context.reply(&response)
}

async fn allocate(broker: &Arc<Broker>, request: InitProducerIdRequest) -> Result<i64, ApiError> {
    if request.transactional_id.is_some() {
        return Err(ErrorCode::InvalidRequest.into());
    }
    let broker = broker.clone();
    run_blocking(move || broker.producer_ids.allocate(&broker.metadata)).await?
}
