//! Requests to the transaction coordinator and its replies, free of wire versions.
//!
//! Where Kafka's behaviour depends on the version of the API, the request carries `api_version`
//! and the machine decides.

use crate::error::TransactionError;
use crate::group::message::TopicPartitions;

use super::state::{TransactionState, TransactionVersion};

/// Instead of a producer id.
pub(crate) const NO_PRODUCER_ID: i64 = -1;
/// Instead of a producer epoch.
pub(crate) const NO_PRODUCER_EPOCH: i16 = -1;

/// InitProducerId with a transactional id. One without is not the coordinator's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitProducerIdRequest {
    pub transactional_id: String,
    pub transaction_timeout_ms: i32,
    /// With [`producer_epoch`](Self::producer_epoch), what the producer has (KIP-360); both -1 when
    /// it has none.
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// KIP-939.
    pub enable_2pc: bool,
    /// KIP-939.
    pub keep_prepared_txn: bool,
    pub api_version: i16,
}

/// AddPartitionsToTxn of one transaction, AddOffsetsToTxn, or what a broker adds or verifies on
/// behalf of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPartitionsRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// For AddOffsetsToTxn the group's partition of `__consumer_offsets`.
    pub topics: Vec<TopicPartitions>,
    pub client_transaction_version: TransactionVersion,
    pub api_version: i16,
}

/// EndTxn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// COMMIT, else ABORT.
    pub is_commit: bool,
    /// From 5 on the reply carries the producer id and epoch for the next transaction.
    pub api_version: i16,
}

/// Says who the producer is from now on. With an error, and where an old EndTxn has nothing to
/// say, both are -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdReply {
    pub error: Option<TransactionError>,
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl ProducerIdReply {
    pub fn error(error: TransactionError) -> Self {
        Self {
            error: Some(error),
            ..Self::nobody()
        }
    }

    pub(crate) fn nobody() -> Self {
        Self {
            error: None,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
        }
    }
}

/// The answer to one request about transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionReply {
    InitProducerId(ProducerIdReply),
    /// One answer for all partitions of the request.
    AddPartitions(Option<TransactionError>),
    End(ProducerIdReply),
}

impl TransactionReply {
    /// The error that it carries.
    pub fn error(&self) -> Option<TransactionError> {
        match self {
            Self::InitProducerId(reply) | Self::End(reply) => reply.error,
            Self::AddPartitions(error) => *error,
        }
    }
}

/// Whether a partition is part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPartition {
    pub partition: i32,
    pub error: Option<TransactionError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTopic {
    pub name: String,
    pub partitions: Vec<VerifiedPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    pub transactional_id: String,
    pub state: TransactionState,
    pub transaction_timeout_ms: i32,
    /// -1 when there is no transaction.
    pub transaction_start_time_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Ascending by name and number.
    pub topics: Vec<TopicPartitions>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    pub transactional_id: String,
    pub producer_id: i64,
    pub state: TransactionState,
}
