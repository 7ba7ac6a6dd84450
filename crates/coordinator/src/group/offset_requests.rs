//! The requests for committed offsets, of all groups of one partition of `__consumer_offsets`: they find the group, or
//! make it, and leave what to do to [`offsets`](super::offsets). No lock, as in [`GroupCoordinator`].

use std::sync::Arc;

use super::membership::Group;
use super::message::{
    CommitRequest, DeleteOffsetsReply, FetchedTopic, TopicPartitions, TransactionalCommitRequest,
};
use super::turn::Effect;
use super::{GroupCoordinator, offsets};
use crate::error::GroupError;
use crate::outcome::{Outcome, Reply, Ticket};

impl GroupCoordinator {
    /// Answers when the offsets are stored, or at once when none is.
    pub fn commit_offsets(
        &mut self,
        request: CommitRequest,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut checked = self.check_loaded();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        if checked.is_ok() && !groups.contains_key(request.group_id.as_str()) {
            checked = offsets::validate_without_group(&request);
        }
        if let Err(error) = checked {
            return Outcome::reply(ticket, offsets::refused(&request.topics, error));
        }
        let group_id: Arc<str> = Arc::from(request.group_id.as_str());
        let new_group = || Group::new(group_id.clone(), Some(now_ms));
        let group = groups.entry(group_id.clone()).or_insert_with(new_group);
        offsets::commit(group, &mut turn, request, ticket);
        self.forget_if_blank(&group_id);
        outcome
    }

    /// As [`commit_offsets`](Self::commit_offsets), as part of a transaction: the records are
    /// stored, and count when [`transaction_ended`](Self::transaction_ended) says so.
    pub fn commit_transactional_offsets(
        &mut self,
        request: TransactionalCommitRequest,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut checked = self.check_loaded();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        if checked.is_ok() && !groups.contains_key(request.group_id.as_str()) {
            checked = offsets::validate_transactional_without_group(&request);
        }
        if let Err(error) = checked {
            return Outcome::reply(ticket, offsets::refused(&request.topics, error));
        }
        let group_id: Arc<str> = Arc::from(request.group_id.as_str());
        let new_group = || Group::new(group_id.clone(), Some(now_ms));
        let group = groups.entry(group_id.clone()).or_insert_with(new_group);
        offsets::commit_transactional(group, &mut turn, request, ticket);
        self.forget_if_blank(&group_id);
        outcome
    }

    /// The marker that ends a producer's transaction has entered the log, in whatever group it has
    /// offsets here; a producer without any is ignored.
    ///
    /// To be called before anything else is appended: what was appended earlier counts as before
    /// the marker, what comes later as behind it.
    pub fn transaction_ended(&mut self, producer_id: i64, is_commit: bool, now_ms: i64) -> Outcome {
        self.in_flight.push_reported(Effect::EndTransaction {
            producer_id,
            is_commit,
        });
        self.settle(now_ms)
    }

    /// The offsets of the given partitions, or of all when `topics` is `None`.
    ///
    /// An unknown group has no offsets, which is not an error.
    pub fn fetch_offsets(
        &self,
        group_id: &str,
        topics: Option<&[TopicPartitions]>,
        require_stable: bool,
    ) -> Result<Vec<FetchedTopic>, GroupError> {
        self.check_loaded()?;
        Ok(offsets::fetch(
            self.groups.get(group_id),
            topics,
            require_stable,
        ))
    }

    /// Answers when the tombstones are stored, or at once when there are none.
    pub fn delete_offsets(
        &mut self,
        group_id: &str,
        topics: Vec<TopicPartitions>,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut checked = self.check_loaded();
        if group_id.is_empty() {
            checked = Err(GroupError::InvalidGroupId);
        }
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let group = checked.and_then(|()| groups.get(group_id).ok_or(GroupError::GroupIdNotFound));
        let checked = group.and_then(|group| offsets::validate_delete(group).map(|()| group));
        match checked {
            Ok(group) => offsets::delete(group, &mut turn, topics, ticket),
            Err(error) => {
                let reply = DeleteOffsetsReply {
                    error: Some(error),
                    topics: Vec::new(),
                };
                turn.reply(ticket, Reply::DeleteOffsets(reply));
            }
        }
        outcome
    }

    /// Forgets the offsets of partitions that no longer exist, in all groups; while loading it
    /// does nothing, and what it misses expires later.
    pub fn partitions_deleted(&mut self, topics: &[TopicPartitions], now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        if !self.loaded {
            return outcome;
        }
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        for group in groups.values() {
            let deleted = |topic: &str, partition: i32| {
                topics
                    .iter()
                    .any(|each| each.name == topic && each.partitions.contains(&partition))
            };
            let keys: Vec<_> = group
                .offsets
                .keys()
                .filter(|(topic, partition)| deleted(topic, *partition))
                .map(|(topic, partition)| offsets::offset_key(group, topic, partition))
                .collect();
            if !keys.is_empty() {
                offsets::remove(&mut turn, keys, Vec::new(), None);
            }
        }
        outcome
    }
}
