//! Groups of the consumer group protocol (KIP-848), where the coordinator assigns partitions.
//!
//! ```text
//! heartbeat -> group epoch -> target assignment of that epoch -> each member, one step at a time
//!              (subscriptions   (assignor/)                      (reconcile.rs)
//!               or topics changed)
//! ```
//! A member's epoch says which target it has reached. Nobody waits for a barrier: members that keep
//! their partitions go on, and a partition changes hands when its old owner has let go of it.
//!
//! Everything is decided in a [`draft`], as changes that are records ([`record`]); the state
//! ([`state`]) is what applying them gives, here as in a load.
//!
//! Differences from Kafka: a regular expression is resolved at once, where Kafka does it in the
//! background and starts another epoch when it is done.

pub(crate) mod assignor;
pub(super) mod classic_member;
pub(super) mod commit;
pub(super) mod coordinate;
mod describe;
mod draft;
mod embedded;
mod hash;
mod heartbeat;
pub(crate) mod message;
mod migrate;
mod reconcile;
pub(crate) mod record;
mod regex;
pub(super) mod state;
pub(crate) mod topics;

use std::sync::Arc;

use self::record::MemberState;
use self::state::ConsumerGroup;
use super::turn::{TimerKey, Turn};

/// How long a member may be silent: what its group or the broker says, or the member itself when it
/// uses the classic protocol.
pub(super) fn arm_session(
    turn: &mut Turn<'_>,
    group_id: &Arc<str>,
    group: &ConsumerGroup,
    member_id: &Arc<str>,
) {
    let Some(member) = group.members.get(member_id) else {
        return;
    };
    let timeout_ms = match member.classic() {
        Some(classic) => classic.session_timeout_ms,
        None => {
            let overrides = turn.view.overrides(group_id);
            overrides
                .session_timeout_ms
                .unwrap_or(turn.config.consumer_session_timeout_ms)
        }
    };
    let key = TimerKey::Session {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    turn.schedule(key, i64::from(timeout_ms));
}

/// A member that has to give partitions up has its rebalance timeout for it.
pub(super) fn arm_rebalance(
    turn: &mut Turn<'_>,
    group_id: &Arc<str>,
    group: &ConsumerGroup,
    member_id: &Arc<str>,
) {
    let key = TimerKey::Rebalance {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    match group.members.get(member_id) {
        Some(member)
            if member.current.state == MemberState::UnrevokedPartitions
                && member.classic().is_none() =>
        {
            turn.schedule(key, i64::from(member.metadata.rebalance_timeout_ms));
        }
        _ => turn.timers.cancel(&key),
    }
}

pub(super) fn disarm(turn: &mut Turn<'_>, group_id: &Arc<str>, member_id: &Arc<str>) {
    let group_id = group_id.clone();
    let member_id = member_id.clone();
    turn.timers.cancel(&TimerKey::Session {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    });
    turn.timers.cancel(&TimerKey::Rebalance {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    });
    disarm_classic(turn, group_id, member_id);
}

fn disarm_classic(turn: &mut Turn<'_>, group_id: Arc<str>, member_id: Arc<str>) {
    turn.timers.cancel(&TimerKey::ClassicJoin {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    });
    turn.timers.cancel(&TimerKey::ClassicSync {
        group_id,
        member_id,
    });
}
