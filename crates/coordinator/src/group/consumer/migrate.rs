//! Groups with members move between the protocols while they run (KIP-848).
//!
//! Up: the first consumer of the new protocol joins a classic group. Its generation becomes the
//! epoch, its assignments the targets, its members stay as classic members and are asked to join
//! again. Down: the last consumer of the new protocol goes, and the classic members get their
//! generation back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::draft::{Draft, Refusal, refuse};
use super::embedded::{identify, read_assignment, read_subscription, write_assignment};
use super::record::{
    Change, ClassicMetadata, CurrentAssignment, GroupEpoch, MemberMetadata, MemberState,
    OwnedPartitions, Partitions, TargetEpoch,
};
use super::state::{ConsumerGroup, Member};
use crate::error::GroupError;
use crate::group::classic::{self, ClassicGroup};
use crate::group::record;

/// Whether a classic group with members may become a consumer group.
fn may_upgrade(draft: &Draft<'_>, classic: &ClassicGroup) -> Result<(), Refusal> {
    let because = if !draft.config.consumer_migration_policy.may_upgrade() {
        "online upgrade is disabled"
    } else if !classic.uses_consumer_protocol() {
        "the group does not use the consumer embedded protocol"
    } else if classic.members.len() > draft.config.consumer_group_max_size {
        "the group size exceeds the consumer group maximum size"
    } else {
        return Ok(());
    };
    cannot_upgrade(draft, because)
}

fn cannot_upgrade<T>(draft: &Draft<'_>, because: &str) -> Result<T, Refusal> {
    let group_id = &draft.group_id;
    refuse(
        GroupError::GroupIdNotFound,
        format!("Cannot upgrade classic group {group_id} to consumer group because {because}."),
    )
}

/// Writes what a classic group with members becomes.
pub(super) fn upgrade(draft: &mut Draft<'_>, classic: &ClassicGroup) -> Result<(), Refusal> {
    may_upgrade(draft, classic)?;
    let mut members = BTreeMap::new();
    for member in classic.members.values() {
        let taken = take_over(draft, classic, member)?;
        members.insert(member.id.clone(), taken);
    }
    let epoch = classic.generation_id;
    draft.prefix.push(record::group_tombstone(&draft.group_id));
    for (id, (metadata, _)) in &members {
        draft.write(Change::Member(id.clone(), Some(Arc::new(metadata.clone()))));
    }
    let metadata_hash = draft.group.compute_metadata_hash(draft.view);
    draft.checked_version = draft.view.version();
    draft.write(Change::Metadata(Some(GroupEpoch {
        epoch,
        metadata_hash,
    })));
    for (id, (_, assigned)) in &members {
        draft.write(Change::TargetMember(
            id.clone(),
            Some(Arc::new(assigned.clone())),
        ));
    }
    draft.write(Change::TargetMetadata(Some(TargetEpoch {
        epoch,
        timestamp_ms: 0,
    })));
    for (id, (_, assigned)) in members {
        let current = CurrentAssignment {
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: with_epoch(&assigned, epoch),
            pending_revocation: OwnedPartitions::new(),
        };
        draft.write(Change::CurrentMember(id, Some(Arc::new(current))));
    }
    Ok(())
}

fn with_epoch(partitions: &Partitions, epoch: i32) -> OwnedPartitions {
    let each = |partitions: &BTreeSet<i32>| partitions.iter().map(|each| (*each, epoch)).collect();
    partitions
        .iter()
        .map(|(topic, partitions)| (*topic, each(partitions)))
        .collect()
}

fn take_over(
    draft: &Draft<'_>,
    classic: &ClassicGroup,
    member: &classic::Member,
) -> Result<(MemberMetadata, Partitions), Refusal> {
    let malformed = "the embedded consumer protocol is malformed";
    let metadata = match &classic.protocol_name {
        Some(name) => member.metadata(Some(name)),
        None => {
            let first = member.protocols.first();
            first
                .map(|protocol| protocol.metadata.clone())
                .unwrap_or_default()
        }
    };
    let Ok(subscription) = read_subscription(&metadata) else {
        return cannot_upgrade(draft, malformed);
    };
    // A member that has not synced yet has no assignment.
    let (named, has_user_data) = if member.assignment.is_empty() {
        Default::default()
    } else if let Ok(assignment) = read_assignment(&member.assignment) {
        assignment
    } else {
        return cannot_upgrade(draft, malformed);
    };
    if has_user_data {
        let because = "an unsupported custom assignor is in use";
        return cannot_upgrade(draft, because);
    }
    let taken = MemberMetadata {
        instance_id: member.instance_id.as_deref().map(str::to_owned),
        rack_id: subscription.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topic_names: subscription.topics,
        topic_regex: Some(String::new()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    };
    Ok((taken, identify(&named, draft.view)))
}

/// Whether the group falls back to the classic protocol when these members go.
pub(super) fn may_downgrade(draft: &Draft<'_>, leaving: &BTreeSet<Arc<str>>) -> bool {
    let members = draft.group.members.iter();
    let staying: Vec<&Member> = members
        .filter(|(id, _)| !leaving.contains(*id))
        .map(|(_, member)| member)
        .collect();
    !staying.is_empty()
        && staying.iter().all(|member| member.classic().is_some())
        && draft.config.consumer_migration_policy.may_downgrade()
        && staying.len() <= draft.config.group_max_size
}

/// The classic group that members of the classic protocol make when the others have gone.
pub(super) fn classic_group(draft: &Draft<'_>, leaving: &BTreeSet<Arc<str>>) -> ClassicGroup {
    let group: &ConsumerGroup = &draft.group;
    let members = group
        .members
        .iter()
        .filter(|(id, _)| !leaving.contains(*id));
    let members = members.filter_map(|(id, member)| {
        let classic = member.classic()?;
        let metadata = &member.metadata;
        let protocol = classic
            .protocols
            .first()
            .map(|protocol| &protocol.metadata[..]);
        let version = read_subscription(protocol.unwrap_or_default());
        let version = version.map_or(0, |subscription| subscription.version);
        Some(classic::Member {
            id: id.clone(),
            instance_id: metadata.instance_id.as_deref().map(Arc::from),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols.clone(),
            assignment: write_assignment(version, &group.target(id), draft.view),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        })
    });
    let members: Vec<classic::Member> = members.collect();
    ClassicGroup::stable(draft.group_id.clone(), group.epoch, members, draft.now_ms)
}

/// The assignment of a member of the classic protocol, as it wants to read it.
pub(super) fn assignment_of(draft: &Draft<'_>, member: &Member, partitions: &Partitions) -> Bytes {
    let protocol = member
        .classic()
        .and_then(|classic| classic.protocols.first());
    let metadata = protocol.map(|protocol| &protocol.metadata[..]);
    let version = read_subscription(metadata.unwrap_or_default());
    let version = version.map_or(0, |subscription| subscription.version);
    write_assignment(version, partitions, draft.view)
}
