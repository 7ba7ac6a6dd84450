//! The errors of this crate: what a client is told ([`GroupError`], [`TransactionError`]), what a
//! failed append was ([`AppendError`]), and what is wrong with a record or a number ([`CoordinatorError`]).

use thiserror::Error;

/// An error of the group protocol, with Kafka's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum GroupError {
    #[error("unexpected error in the coordinator")]
    UnknownServerError,
    #[error("the offset metadata is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    #[error("the coordinator is still loading the group")]
    CoordinatorLoadInProgress,
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    #[error("the generation id is not the group's current one")]
    IllegalGeneration,
    #[error("the member's protocols do not fit those of the group")]
    InconsistentGroupProtocol,
    #[error("the group id is invalid")]
    InvalidGroupId,
    #[error("the coordinator does not know this member")]
    UnknownMemberId,
    #[error("the session timeout is outside the allowed range")]
    InvalidSessionTimeout,
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    #[error("the committed offsets are too large for one record batch")]
    InvalidCommitOffsetSize,
    #[error("the request is malformed")]
    InvalidRequest,
    #[error("the group is not empty")]
    NonEmptyGroup,
    #[error("the group id does not exist")]
    GroupIdNotFound,
    #[error("the member must join again with the member id it was given")]
    MemberIdRequired,
    #[error("the group has reached group.max.size")]
    GroupMaxSizeReached,
    #[error("another member has taken over this group.instance.id")]
    FencedInstanceId,
    #[error("the group still subscribes to the topic")]
    GroupSubscribedToTopic,
    #[error("a commit of this offset is still in flight")]
    UnstableOffsetCommit,
    #[error("the member must use a newer version of this API")]
    UnsupportedVersion,
    #[error("the member's epoch is not the one the coordinator knows")]
    FencedMemberEpoch,
    #[error("another member still has this instance id")]
    UnreleasedInstanceId,
    #[error("the assignor is not in group.consumer.assignors")]
    UnsupportedAssignor,
    #[error("the member epoch is stale: retry with the new one")]
    StaleMemberEpoch,
    #[error("the regular expression is not valid")]
    InvalidRegularExpression,
}

impl GroupError {
    /// The error code on the wire.
    pub fn code(self) -> i16 {
        match self {
            Self::UnknownServerError => -1,
            Self::OffsetMetadataTooLarge => 12,
            Self::CoordinatorLoadInProgress => 14,
            Self::CoordinatorNotAvailable => 15,
            Self::NotCoordinator => 16,
            Self::IllegalGeneration => 22,
            Self::InconsistentGroupProtocol => 23,
            Self::InvalidGroupId => 24,
            Self::UnknownMemberId => 25,
            Self::InvalidSessionTimeout => 26,
            Self::RebalanceInProgress => 27,
            Self::InvalidCommitOffsetSize => 28,
            Self::InvalidRequest => 42,
            Self::NonEmptyGroup => 68,
            Self::GroupIdNotFound => 69,
            Self::MemberIdRequired => 79,
            Self::GroupMaxSizeReached => 81,
            Self::FencedInstanceId => 82,
            Self::GroupSubscribedToTopic => 86,
            Self::UnstableOffsetCommit => 88,
            Self::UnsupportedVersion => 35,
            Self::FencedMemberEpoch => 110,
            Self::UnreleasedInstanceId => 111,
            Self::UnsupportedAssignor => 112,
            Self::StaleMemberEpoch => 113,
            Self::InvalidRegularExpression => 128,
        }
    }
}

/// An error of the transaction protocol, with Kafka's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum TransactionError {
    #[error("unexpected error in the coordinator")]
    UnknownServerError,
    #[error("the coordinator is still loading the transactional id")]
    CoordinatorLoadInProgress,
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    #[error("this broker does not coordinate the transactional id")]
    NotCoordinator,
    #[error("keepPreparedTxn is not supported yet")]
    UnsupportedVersion,
    #[error("the request is malformed")]
    InvalidRequest,
    #[error("another producer uses this transactional id with a newer epoch")]
    InvalidProducerEpoch,
    #[error("the transaction is in no state for this request")]
    InvalidTxnState,
    #[error("the producer id does not belong to the transactional id")]
    InvalidProducerIdMapping,
    #[error("the transaction timeout is not between 1 and transaction.max.timeout.ms")]
    InvalidTransactionTimeout,
    #[error("the previous request of this transactional id is not finished yet, try again")]
    ConcurrentTransactions,
    #[error("two-phase commit needs transaction.two.phase.commit.enable")]
    TransactionalIdAuthorizationFailed,
    #[error("another producer uses this transactional id with a newer epoch")]
    ProducerFenced,
    #[error("the transactional id does not exist")]
    TransactionalIdNotFound,
    #[error("the partition is not part of the transaction, abort it")]
    TransactionAbortable,
    #[error("the transactional id pattern is not a regular expression")]
    InvalidRegularExpression,
}

impl TransactionError {
    /// The error code on the wire.
    pub fn code(self) -> i16 {
        match self {
            Self::UnknownServerError => -1,
            Self::CoordinatorLoadInProgress => 14,
            Self::CoordinatorNotAvailable => 15,
            Self::NotCoordinator => 16,
            Self::UnsupportedVersion => 35,
            Self::InvalidRequest => 42,
            Self::InvalidProducerEpoch => 47,
            Self::InvalidTxnState => 48,
            Self::InvalidProducerIdMapping => 49,
            Self::InvalidTransactionTimeout => 50,
            Self::ConcurrentTransactions => 51,
            Self::TransactionalIdAuthorizationFailed => 53,
            Self::ProducerFenced => 90,
            Self::TransactionalIdNotFound => 105,
            Self::TransactionAbortable => 120,
            Self::InvalidRegularExpression => 128,
        }
    }
}

/// Why the runtime could not append records to the internal topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum AppendError {
    #[error("the internal topic's partition does not exist")]
    UnknownPartition,
    #[error("not enough in-sync replicas")]
    NotEnoughReplicas,
    #[error("the append was not acknowledged in time")]
    TimedOut,
    #[error("this broker no longer leads the partition")]
    NotLeader,
    #[error("the log directory failed")]
    Storage,
    #[error("the records do not fit into a batch")]
    TooLarge,
}

impl AppendError {
    /// What members are told when group metadata could not be stored.
    pub fn group_error(self) -> GroupError {
        match self {
            Self::UnknownPartition | Self::NotEnoughReplicas | Self::TimedOut => {
                GroupError::CoordinatorNotAvailable
            }
            Self::NotLeader | Self::Storage => GroupError::NotCoordinator,
            Self::TooLarge => GroupError::UnknownServerError,
        }
    }

    /// What a client is told when its offsets could not be stored.
    pub fn commit_error(self) -> GroupError {
        match self {
            Self::TooLarge => GroupError::InvalidCommitOffsetSize,
            other => other.group_error(),
        }
    }

    /// What a producer is told when the state of its transaction could not be stored.
    pub fn transaction_error(self) -> TransactionError {
        match self {
            Self::UnknownPartition | Self::NotEnoughReplicas | Self::TimedOut => {
                TransactionError::CoordinatorNotAvailable
            }
            Self::NotLeader | Self::Storage => TransactionError::NotCoordinator,
            Self::TooLarge => TransactionError::UnknownServerError,
        }
    }
}

/// A record of the internal topic, or a persisted number, that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoordinatorError {
    #[error("{what} ends after {len} bytes, inside {field}")]
    Truncated {
        what: &'static str,
        field: &'static str,
        len: usize,
    },
    #[error("{what} has an invalid {field}")]
    Malformed {
        what: &'static str,
        field: &'static str,
    },
    #[error("{what} has version {version}, the newest known is {newest}")]
    UnsupportedVersion {
        what: &'static str,
        version: i16,
        newest: i16,
    },
    #[error("group {group_id} names member {member_id} twice")]
    DuplicateMember { group_id: String, member_id: String },
    #[error("no producer ids are left after {next_producer_id}")]
    ProducerIdsExhausted { next_producer_id: i64 },
}
