//! Consumer-group coordination as pure state machines.
//!
//! Nothing here does I/O, reads a clock, spawns a thread or draws randomness: every call takes
//! `now_ms`, and member ids are built from a uuid that the caller supplies. The broker binds a
//! machine to a partition of `__consumer_offsets` like this:
//!
//! 1. replay the partition's records with [`GroupCoordinator::replay`], then call
//!    [`GroupCoordinator::loaded`];
//! 2. pass each request with a fresh [`Ticket`]; send the replies of the [`Outcome`] at once, and
//!    append its [`Append`]s to the partition in the order given;
//! 3. tell the fate of each append with [`GroupCoordinator::appended`], whose outcome carries the
//!    replies that had to wait for it;
//! 4. call [`GroupCoordinator::tick`] when [`GroupCoordinator::next_deadline_ms`] has passed.

mod codec;
mod error;
mod group;
mod in_flight;
mod outcome;
mod producer_id;
mod timers;
#[expect(dead_code, reason = "the machine that uses all of it follows")]
mod transaction;

pub use error::{AppendError, CoordinatorError, GroupError, TransactionError};
pub use group::config::GroupConfig;
pub use group::message::{
    CommitPartition, CommitReply, CommitRequest, CommitTopic, CommittedPartition, CommittedTopic,
    DeleteOffsetsReply, DeletedPartition, DeletedTopic, DescribedGroup, DescribedMember,
    FetchedPartition, FetchedTopic, HeartbeatRequest, JoinMember, JoinProtocol, JoinReply,
    JoinRequest, LeaveMember, LeaveReply, LeaveRequest, LeftMember, ListedGroup, SyncAssignment,
    SyncReply, SyncRequest, TopicPartitions, TransactionalCommitRequest,
};
pub use group::record::{
    CoordinatorKey, CoordinatorRecord, GroupMetadataMember, GroupMetadataValue, OffsetCommitValue,
    decode_group_metadata_value, decode_key, decode_offset_commit_value,
};
pub use group::state::GroupState;
pub use group::{GroupCoordinator, partition_for};
pub use outcome::{Append, AppendId, MarkerId, MarkerWrite, Outcome, Reply, Ticket};
pub use producer_id::{PRODUCER_ID_BLOCK_SIZE, ProducerIdAllocator, ProducerIdBlock};
pub use transaction::config::TransactionConfig;
pub use transaction::filter::TransactionFilters;
pub use transaction::message::{
    AddPartitionsRequest, DescribedTransaction, EndTxnRequest, InitProducerIdRequest,
    ListedTransaction, ProducerIdReply, TransactionReply, VerifiedPartition, VerifiedTopic,
};
pub use transaction::record::{
    PartitionSet, TransactionLogValue, decode_transaction_log_key, decode_transaction_log_value,
    encode_transaction_log_value,
};
pub use transaction::state::{TransactionState, TransactionVersion};
