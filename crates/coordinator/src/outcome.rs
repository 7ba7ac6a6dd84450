//! What a call to a state machine asks of the runtime: replies to send and records to append.
//!
//! A reply in an [`Outcome`] goes out at once, whatever happens to the appends beside it; replies
//! that depend on an append appear in the outcome of the call that reports it.

use crate::error::GroupError;
use crate::group::message::{CommitReply, DeleteOffsetsReply, JoinReply, LeaveReply, SyncReply};
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

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Leave(LeaveReply),
    Commit(CommitReply),
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

/// What the runtime must do after a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "an outcome that is dropped leaves requests unanswered and records unwritten"]
pub struct Outcome {
    /// To be sent at once.
    pub replies: Vec<(Ticket, Reply)>,
    /// To be appended in this order; the fate of each is reported with `appended`.
    pub appends: Vec<Append>,
}

impl Outcome {
    /// Nothing to send and nothing to append.
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.appends.is_empty()
    }

    pub(crate) fn reply(ticket: Ticket, reply: Reply) -> Self {
        Self {
            replies: vec![(ticket, reply)],
            appends: Vec::new(),
        }
    }
}
