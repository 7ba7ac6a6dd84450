//! Consumer-group and transaction coordination as pure state machines.
//!
//! Nothing here does I/O, reads a clock, spawns a thread or draws randomness: every call takes
//! `now_ms`, member ids are built from a uuid that the caller supplies, and producer ids come from
//! it too. The broker binds a machine, [`GroupCoordinator`] or [`TransactionCoordinator`], to a
//! partition of `__consumer_offsets` or `__transaction_state` like this:
//!
//! 1. replay the partition's records with `replay`, then call `loaded`, whose outcome may already
//!    ask for something: transactions that were decided before a crash are finished;
//! 2. pass each request with a fresh [`Ticket`]; send the replies of the [`Outcome`] at once, and
//!    append its [`Append`]s to the partition in the order given;
//! 3. tell the fate of each append with `appended`, whose outcome carries the replies that had to
//!    wait for it;
//! 4. write the [`MarkerWrite`]s of an outcome, in any order, and say with `markers_written` where
//!    they are durable;
//! 5. call `tick` when `next_deadline_ms` has passed.

mod codec;
mod error;
mod group;
mod in_flight;
mod outcome;
mod producer_id;
mod timers;
mod transaction;

pub use error::{AppendError, CoordinatorError, GroupError, TransactionError};
pub use group::config::{ConsumerAssignor, GroupConfig, MigrationPolicy};
pub use group::consumer::message::{
    ConsumerHeartbeatReply, ConsumerHeartbeatRequest, DescribedConsumer, DescribedConsumerGroup,
    DescribedTopic,
};
pub use group::consumer::record::ConsumerKey;
pub use group::consumer::topics::{GroupOverrides, MetadataView, TopicId, TopicView};
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
pub use transaction::TransactionCoordinator;
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
