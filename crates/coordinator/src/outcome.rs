//! What a call to a state machine asks of the runtime: replies to send, records to append, and
//! transactions to end in the logs they wrote to.
//!
//! A reply in an [`Outcome`] goes out at once, whatever happens to the appends beside it; replies
//! that depend on an append appear in the outcome of the call that reports it.

use crate::error::GroupError;
use crate::group::consumer::message::ConsumerHeartbeatReply;
use crate::group::message::{
    CommitReply, DeleteOffsetsReply, JoinReply, LeaveReply, SyncReply, TopicPartitions,
};
use crate::group::record::CoordinatorRecord;

/// Names a request whose reply may come later. Each ticket is answered exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names an append, to report its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// Records for one batch of the internal topic.
///
/// One batch keeps them atomic. A runtime that has to split a large one may do so in order: every
/// prefix replays to a valid state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    pub id: AppendId,
    /// The id and epoch of the producer in whose transaction the records are; the batch is then a
    /// transactional one, without sequence numbers.
    pub producer: Option<(i64, i16)>,
    pub records: Vec<CoordinatorRecord>,
}

/// Names markers to write, to report that they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkerId(pub u64);

/// The end of one transaction, to be written as a marker into each partition it wrote to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerWrite {
    pub id: MarkerId,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    /// COMMIT, else ABORT.
    pub is_commit: bool,
    /// 0 to 2, which decides whose epochs the marker may end (KIP-890).
    pub transaction_version: i8,
    pub topics: Vec<TopicPartitions>,
}

/// The answer to one request about groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Leave(LeaveReply),
    Commit(CommitReply),
    ConsumerHeartbeat(ConsumerHeartbeatReply),
    DeleteGroups(Vec<(String, Option<GroupError>)>),
    DeleteOffsets(DeleteOffsetsReply),
}

impl Reply {
    /// Turns every part of the reply that says success into `error`.
    pub(crate) fn fail(&mut self, error: GroupError) {
        match self {
            Self::Join(reply) => *reply = JoinReply::error("", error),
            Self::Sync(reply) => *reply = SyncReply::error(error),
            Self::Leave(reply) => reply.error = Some(error),
            Self::ConsumerHeartbeat(reply) => *reply = ConsumerHeartbeatReply::error(error, None),
            Self::Commit(reply) => {
                for partition in reply
                    .topics
                    .iter_mut()
                    .flat_map(|topic| &mut topic.partitions)
                {
                    partition.error.get_or_insert(error);
                }
            }
            Self::DeleteGroups(groups) => {
                for (_, outcome) in groups {
                    outcome.get_or_insert(error);
                }
            }
            Self::DeleteOffsets(reply) => {
                for partition in reply
                    .topics
                    .iter_mut()
                    .flat_map(|topic| &mut topic.partitions)
                {
                    partition.error.get_or_insert(error);
                }
            }
        }
    }
}

/// What the runtime must do after a call; `R` is what the machine replies with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an outcome that is dropped leaves requests unanswered and records unwritten"]
pub struct Outcome<R = Reply> {
    /// To be sent at once.
    pub replies: Vec<(Ticket, R)>,
    /// To be appended in this order; the fate of each is reported with `appended`.
    pub appends: Vec<Append>,
    /// To be written in any order, and tried again until they are durable in every partition that
    /// there is; each is then reported with `markers_written`.
    pub markers: Vec<MarkerWrite>,
}

impl<R> Default for Outcome<R> {
    fn default() -> Self {
        Self {
            replies: Vec::new(),
            appends: Vec::new(),
            markers: Vec::new(),
        }
    }
}

impl<R> Outcome<R> {
    /// Nothing to send, to append or to mark.
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.appends.is_empty() && self.markers.is_empty()
    }

    pub(crate) fn reply(ticket: Ticket, reply: R) -> Self {
        Self {
            replies: vec![(ticket, reply)],
            ..Self::default()
        }
    }
}
