//! One file per Kafka API, named as Kafka names it.
//!
//! # Adding a handler
//!
//! 1. Write `api/<name>.rs` with
//!    `pub(crate) async fn handle(broker: &Arc<Broker>, context: &RequestContext, request:
//!    <Name>Request) -> Reply`. Its header says key, versions, behaviour, and what each version
//!    changed.
//! 2. Add the module below and a line to the table in `dispatch.rs`.
//!    The versions are in `lastword_protocol::api_key`; a test compares the two tables.
//! 3. Build messages with `message!(XResponse { field: value })`: the structs are
//!    non-exhaustive. Answer with `context.reply(&response)`. A field that a version cannot
//!    carry must keep its default, or encoding fails and the connection is closed.
//! 4. Errors of one item go into the response as [`ApiError`](crate::error_map::ApiError):
//!    `error.code.code()` and `error.message`. Conversions are in `error_map`.
//! 5. Anything that waits for the disk (creating, deleting, configs) goes through
//!    [`run_blocking`](crate::partition::run_blocking). A wait for other events returns
//!    [`Reply::Later`] with [`RequestContext::later`].
//!
//! Handlers are free functions. They reach data through `broker.partitions` and
//! `broker.metadata.image()`, and change topics through [`crate::topics`]. They run in the order
//! of the requests of a connection up to their return; a `Later` may finish after the next
//! request has begun, its response still leaves in order.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use lastword_protocol::messages::KafkaResponse;
use lastword_protocol::{ApiKey, EncodeError, ResponseFrame, StrBytes, response};

use crate::broker::Endpoint;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
mod config_resource;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod renew_delegation_token;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod update_features;
pub mod write_txn_markers;

/// Operations on a topic that a client may do, as bits: without authorization, all of them.
pub(crate) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for a group: READ (3), DELETE (6), DESCRIBE (8), and both of its configs (10, 11).
pub(crate) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for the cluster.
pub(crate) const CLUSTER_OPERATIONS: i32 =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// What the three ACL APIs say.
pub(crate) const NO_AUTHORIZER: &str = "No Authorizer is configured.";

/// What a handler knows of the request beside its body.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The API.
    pub api_key: ApiKey,
    /// The version of request and response.
    pub api_version: i16,
    /// Returned in the response header.
    pub correlation_id: i32,
    /// What the client calls itself; for logs and member ids, never for permissions.
    pub client_id: Option<StrBytes>,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Where clients of this listener are told to connect.
    pub endpoint: Arc<Endpoint>,
}

/// The answer of a handler.
pub enum Reply {
    /// The response is ready.
    Now(ResponseFrame),
    /// The response will be ready; later responses of the connection wait for it.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// The protocol wants no response (produce with acks=0).
    Nothing,
    /// The connection cannot go on.
    Close(String),
}

impl RequestContext {
    /// Encodes a response for this request.
    pub fn reply<R: KafkaResponse>(&self, response: &R) -> Reply {
        self.encoded(response::encode(
            self.api_key,
            self.api_version,
            self.correlation_id,
            response,
        ))
    }

    /// A frame, or the end of the connection when it could not be encoded: that is our mistake,
    /// and the client cannot be left waiting.
    pub(crate) fn encoded(&self, frame: Result<ResponseFrame, EncodeError>) -> Reply {
        match frame {
            Ok(frame) => Reply::Now(frame),
            Err(error) => Reply::Close(format!(
                "cannot encode the response to {} v{}: {error}",
                self.api_key.name(),
                self.api_version
            )),
        }
    }

    /// Encodes the response that `work`, which blocks on the disk, ends in.
    pub(crate) async fn reply_blocking<R: KafkaResponse + Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Reply {
        match crate::partition::run_blocking(work).await {
            Ok(response) => self.reply(&response),
            Err(error) => Reply::Close(error.message),
        }
    }

    /// An answer that waits.
    pub fn later(future: impl Future<Output = Reply> + Send + 'static) -> Reply {
        Reply::Later(Box::pin(future))
    }
}
