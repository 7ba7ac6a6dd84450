//! Taking a partition over and giving it up.
//!
//! Loading replays the internal topic, compacted or not, and serves nothing until it is done. Every
//! prefix of the topic is a valid state; a record that cannot be read changes nothing.

use std::sync::Arc;

use super::classic::ClassicGroup;
use super::consumer::record::{self as consumer_record, Change};
use super::membership::{Group, Membership};
use super::message::{JoinReply, SyncReply};
use super::record::{self, CoordinatorKey, OffsetCommitKey};
use super::turn::{Effect, TimerKey};
use super::{GroupCoordinator, effect, rebalance};
use crate::error::{CoordinatorError, GroupError};
use crate::outcome::{Outcome, Reply, Ticket};

impl GroupCoordinator {
    /// Takes over one record of the internal topic, in the order of the log.
    ///
    /// A record that cannot be read changes nothing. Keys of other kinds of groups are skipped.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CoordinatorError> {
        self.replay_record(None, key, value)
    }

    /// Takes over one record of a transactional batch: its offset waits for the marker of the
    /// producer, which may come after loading, by [`GroupCoordinator::transaction_ended`].
    pub fn replay_transactional(
        &mut self,
        producer_id: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CoordinatorError> {
        self.replay_record(Some(producer_id), key, value)
    }

    /// Takes over the marker that ends a producer's transaction.
    pub fn replay_marker(&mut self, producer_id: i64, is_commit: bool) {
        let open = &mut self.open_transactions;
        effect::end_transaction(&mut self.groups, open, producer_id, is_commit);
    }

    fn replay_record(
        &mut self,
        producer_id: Option<i64>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CoordinatorError> {
        if let Some(key) = record::decode_offset_commit_key(key)? {
            let value = value.map(record::decode_offset_commit_value).transpose()?;
            self.replay_offset(producer_id, key, value);
            return Ok(());
        }
        match record::decode_key(key)? {
            // Taken above, where it stands.
            CoordinatorKey::OffsetCommit { .. } => Ok(()),
            CoordinatorKey::GroupMetadata { group_id } => {
                let value = value.map(record::decode_group_metadata_value).transpose()?;
                self.replay_group(group_id, value)
            }
            CoordinatorKey::ConsumerGroup { group_id, key } => {
                let change = consumer_record::decode(key, value)?;
                self.replay_consumer(group_id, &change);
                Ok(())
            }
            CoordinatorKey::Other { version } => {
                tracing::debug!(version, "skipped a record of another kind of group");
                Ok(())
            }
        }
    }

    fn replay_offset(
        &mut self,
        producer_id: Option<i64>,
        key: OffsetCommitKey<'_>,
        value: Option<record::OffsetCommitValue>,
    ) {
        let OffsetCommitKey {
            group_id,
            topic,
            partition,
        } = key;
        let Some(value) = value else {
            if let Some(group) = self.groups.get_mut(group_id) {
                group.offsets.remove(topic, partition);
                self.forget_if_blank(group_id);
            }
            return;
        };
        if !self.groups.contains_key(group_id) {
            let group_id: Arc<str> = Arc::from(group_id);
            let group = Group::new(group_id.clone(), None);
            self.groups.insert(group_id, group);
        }
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if let Some(producer_id) = producer_id {
            let open = self.open_transactions.entry(producer_id).or_default();
            open.insert(group.id.clone());
        }
        group.offsets.put(topic, partition, value, producer_id);
    }

    fn replay_consumer(&mut self, group_id: String, change: &Change) {
        let group_id: Arc<str> = Arc::from(group_id);
        if change.has_value() {
            let new_group = || Group::new(group_id.clone(), None);
            let group = self
                .groups
                .entry(group_id.clone())
                .or_insert_with(new_group);
            group.apply(change);
        } else if let Some(group) = self.groups.get_mut(&group_id) {
            group.apply(change);
            self.forget_if_blank(&group_id);
        }
    }

    fn replay_group(
        &mut self,
        group_id: String,
        value: Option<record::GroupMetadataValue>,
    ) -> Result<(), CoordinatorError> {
        let group_id: Arc<str> = Arc::from(group_id);
        if let Some(value) = value {
            let classic =
                ClassicGroup::from_record(group_id.clone(), value).map_err(|member_id| {
                    CoordinatorError::DuplicateMember {
                        group_id: group_id.to_string(),
                        member_id,
                    }
                })?;
            let new_group = || Group::new(group_id.clone(), None);
            let group = self
                .groups
                .entry(group_id.clone())
                .or_insert_with(new_group);
            group.membership = Membership::classic(classic);
        } else if let Some(group) = self.groups.get_mut(&group_id) {
            effect::forget_membership(group);
            self.forget_if_blank(&group_id);
        }
        Ok(())
    }

    /// Ends loading: sessions of the members that were loaded start now.
    pub fn loaded(&mut self, now_ms: i64) -> Outcome {
        self.loaded = true;
        let mut outcome = Outcome::default();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        turn.schedule(
            TimerKey::Retention,
            turn.config.offsets_retention_check_interval_ms,
        );
        for group in groups.values_mut() {
            turn.schedule_sessions(group);
            let max = turn.config.group_max_size;
            if let Some(classic) = group.classic_mut()
                && classic.members.len() > max
            {
                rebalance::prepare(classic, &mut turn, "the group is above group.max.size");
            }
        }
        outcome
    }

    /// Gives the partition up: answers every parked request with `error`.
    #[must_use = "these requests wait for an answer"]
    pub fn unload(mut self, error: GroupError) -> Vec<(Ticket, Reply)> {
        let mut replies = Vec::new();
        for effect in self.in_flight.drain() {
            let waiting = match effect {
                Effect::Commit { ticket, reply, .. } => vec![(ticket, reply)],
                Effect::Remove { reply, .. } => reply.into_iter().collect(),
                Effect::Membership(stored) => stored.replies,
                Effect::EmptyGroup
                | Effect::Assign { .. }
                | Effect::StaticRejoin(_)
                | Effect::EndTransaction { .. } => Vec::new(),
            };
            for (ticket, mut reply) in waiting {
                reply.fail(error);
                replies.push((ticket, reply));
            }
        }
        for member in self
            .groups
            .values()
            .filter_map(Group::classic)
            .flat_map(|classic| classic.members.values())
        {
            if let Some(ticket) = member.awaiting_join {
                replies.push((ticket, Reply::Join(JoinReply::error(&member.id, error))));
            }
            if let Some(ticket) = member.awaiting_sync {
                replies.push((ticket, Reply::Sync(SyncReply::error(error))));
            }
        }
        replies
    }
}
