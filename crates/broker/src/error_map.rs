//! The only place where an error of the engine becomes a Kafka error code.
//!
//! The message is what the client's user reads, so it keeps the numbers.

use lastword_coordinator::{GroupError, TransactionError};
use lastword_protocol::ErrorCode;
use lastword_storage::StorageError;

use crate::metadata::{InvalidTopicName, MetadataFileError};

/// What a response says about one item that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The code on the wire.
    pub code: ErrorCode,
    /// For the protocol fields that carry text.
    pub message: String,
}

impl ApiError {
    /// An error with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
        }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> ApiError {
        ApiError {
            code,
            message: code.message().to_owned(),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> ApiError {
        ApiError::from(&error)
    }
}

impl From<&StorageError> for ApiError {
    fn from(error: &StorageError) -> ApiError {
        ApiError {
            code: storage_code(error),
            message: error.to_string(),
        }
    }
}

impl From<MetadataFileError> for ApiError {
    fn from(error: MetadataFileError) -> ApiError {
        ApiError {
            code: ErrorCode::KafkaStorageError,
            message: error.to_string(),
        }
    }
}

impl From<InvalidTopicName> for ApiError {
    fn from(error: InvalidTopicName) -> ApiError {
        ApiError {
            code: ErrorCode::InvalidTopicException,
            message: error.to_string(),
        }
    }
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> ApiError {
        let code = ErrorCode::from_code(error.code()).unwrap_or(ErrorCode::UnknownServerError);
        ApiError::new(code, error.to_string())
    }
}

impl From<TransactionError> for ApiError {
    fn from(error: TransactionError) -> ApiError {
        let code = ErrorCode::from_code(error.code()).unwrap_or(ErrorCode::UnknownServerError);
        ApiError::new(code, error.to_string())
    }
}

/// What a response says of a request to the transaction coordinator.
pub fn transaction_code(error: Option<TransactionError>) -> i16 {
    error.map_or(ErrorCode::None.code(), TransactionError::code)
}

/// What a response says of a request to the group coordinator.
pub fn group_code(error: Option<GroupError>) -> i16 {
    error.map_or(ErrorCode::None.code(), GroupError::code)
}

/// The code of a storage error.
pub fn storage_code(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        StorageError::CorruptBatch { .. }
        | StorageError::CorruptSegment { .. }
        | StorageError::CorruptKeyIndex { .. } => ErrorCode::CorruptMessage,
        StorageError::InvalidRecord { .. } | StorageError::KeylessRecord { .. } => {
            ErrorCode::InvalidRecord
        }
        StorageError::RecordTooLarge { .. } => ErrorCode::MessageTooLarge,
        StorageError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        StorageError::UnsupportedMagic { .. } => ErrorCode::UnsupportedForMessageFormat,
        StorageError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        StorageError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        StorageError::UnknownProducerId { .. } => ErrorCode::UnknownProducerId,
        StorageError::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        StorageError::TransactionCoordinatorFenced { .. } => {
            ErrorCode::TransactionCoordinatorFenced
        }
        StorageError::UnknownPartition { .. } | StorageError::Closed => {
            ErrorCode::UnknownTopicOrPartition
        }
        StorageError::PartitionExists { .. } => ErrorCode::TopicAlreadyExists,
        StorageError::Config(_) => ErrorCode::InvalidConfig,
        StorageError::DirectoryOffline { .. }
        | StorageError::LowOnSpace { .. }
        | StorageError::Io { .. }
        | StorageError::SegmentFull { .. }
        | StorageError::CorruptCheckpoint { .. } => ErrorCode::KafkaStorageError,
        StorageError::NotCompacted { .. } | StorageError::Paused { .. } => {
            ErrorCode::InvalidRequest
        }
        StorageError::Stale | StorageError::CleanerPanicked { .. } => ErrorCode::UnknownServerError,
    }
}

/// The record of the batch that is to blame, when there is one.
pub fn record_index(error: &StorageError) -> Option<i32> {
    match error {
        StorageError::InvalidRecord { batch_index, .. } => *batch_index,
        StorageError::KeylessRecord { batch_index, .. }
        | StorageError::InvalidTimestamp { batch_index, .. } => Some(*batch_index),
        _ => None,
    }
}
