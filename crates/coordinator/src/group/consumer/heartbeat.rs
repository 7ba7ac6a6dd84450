//! ConsumerGroupHeartbeat: join, stay, change the subscription, give partitions up, leave.
//!
//! A heartbeat does up to three things: it updates the member, which may start a new group epoch;
//! it computes the target assignment of that epoch; and it takes the member one step towards its
//! target. Other members follow at their own heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assignor::Assignor;
use super::draft::{Draft, Refusal, refuse};
use super::message::{ConsumerHeartbeatReply, ConsumerHeartbeatRequest};
use super::record::{Change, CurrentAssignment, MemberMetadata, Partitions};
use super::regex;
use super::state::{LEAVE, LEAVE_STATIC, Member, without_epochs};
use crate::codec::NAME_BYTES_MAX;
use crate::error::GroupError;
use crate::group::config::GroupConfig;

/// From this version on a consumer makes its own member id (KIP-1082).
const FIRST_VERSION_WITH_OWN_MEMBER_ID: i16 = 1;

/// What can be said against a heartbeat without looking at the group.
pub(in crate::group) fn validate(
    request: &ConsumerHeartbeatRequest,
    config: &GroupConfig,
) -> Result<(), Refusal> {
    let invalid = |message: &str| refuse(GroupError::InvalidRequest, message.to_owned());
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    let epoch = request.member_epoch;
    let needs_id = request.api_version >= FIRST_VERSION_WITH_OWN_MEMBER_ID;
    if request.member_id.is_empty() && (needs_id || epoch > 0 || epoch == LEAVE) {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if request.topic_names.is_none() && request.topic_regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
                 (re-)joining.",
            );
        }
    } else if epoch == LEAVE_STATIC && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    } else if epoch < LEAVE_STATIC {
        return invalid("MemberEpoch is invalid.");
    }
    if let Some(name) = &request.server_assignor {
        validate_assignor(name, config)?;
    }
    validate_lengths(request)
}

fn validate_assignor(name: &str, config: &GroupConfig) -> Result<(), Refusal> {
    let assignors = &config.consumer_assignors;
    if Assignor::by_name(name).is_some_and(|assignor| assignors.contains(&assignor)) {
        return Ok(());
    }
    let names: Vec<_> = assignors.iter().map(|assignor| assignor.name()).collect();
    refuse(
        GroupError::UnsupportedAssignor,
        format!(
            "ServerAssignor {name} is not supported. Supported assignors: {}.",
            names.join(", ")
        ),
    )
}

/// Strings in keys have a length of 16 bits.
fn validate_lengths(request: &ConsumerHeartbeatRequest) -> Result<(), Refusal> {
    let texts = [&request.group_id, &request.member_id, &request.client_id]
        .into_iter()
        .chain(&request.instance_id)
        .chain(&request.rack_id)
        .chain(&request.topic_regex)
        .chain(request.topic_names.iter().flatten());
    for text in texts {
        if text.len() > NAME_BYTES_MAX {
            let message = format!("A name in the request is longer than {NAME_BYTES_MAX} bytes.");
            return refuse(GroupError::InvalidRequest, message);
        }
    }
    Ok(())
}

/// A heartbeat that does not leave.
pub(in crate::group) fn heartbeat(
    draft: &mut Draft<'_>,
    request: &ConsumerHeartbeatRequest,
) -> Result<ConsumerHeartbeatReply, Refusal> {
    let member_id: Arc<str> = if request.member_id.is_empty() {
        Arc::from(request.uuid.as_str())
    } else {
        Arc::from(request.member_id.as_str())
    };
    check_size(draft, &member_id, draft.config.consumer_group_max_size)?;
    let before = find_member(draft, request, &member_id)?;
    let resubscribed = subscribe(draft, &before, &member_id, update(&before, request))?;
    draft.update_target();
    draft.reconcile(&member_id, request.owned.as_ref(), resubscribed)?;
    Ok(answer(draft, request, &before, &member_id))
}

/// Refuses a member that would be one too many.
pub(in crate::group) fn check_size(
    draft: &Draft<'_>,
    member_id: &str,
    max: usize,
) -> Result<(), Refusal> {
    if draft.group.members.len() < max || draft.member(member_id).is_some() {
        return Ok(());
    }
    refuse(
        GroupError::GroupMaxSizeReached,
        format!("The consumer group has reached its maximum capacity of {max} members."),
    )
}

fn find_member(
    draft: &mut Draft<'_>,
    request: &ConsumerHeartbeatRequest,
    member_id: &Arc<str>,
) -> Result<Member, Refusal> {
    let joins = request.member_epoch == 0;
    let Some(instance_id) = &request.instance_id else {
        let member = match draft.member(member_id) {
            Some(member) => member.clone(),
            None if joins => Member::default(),
            None => return unknown_member(draft, member_id),
        };
        check_epoch(&member, request)?;
        return Ok(member);
    };
    let existing = draft.group.static_member(instance_id);
    let existing = existing.map(|(id, member)| (id.clone(), member.clone()));
    match existing {
        None if joins => Ok(draft.member(member_id).cloned().unwrap_or_default()),
        None => unknown_instance(instance_id),
        Some((owner, member)) if joins => {
            if member.classic().is_none() && member.epoch() != LEAVE_STATIC {
                return refuse(
                    GroupError::UnreleasedInstanceId,
                    format!(
                        "Static member {member_id} with instance id {instance_id} cannot join the \
                         group because the instance id is owned by {owner} member."
                    ),
                );
            }
            Ok(replace_static(draft, &owner, &member, member_id))
        }
        Some((owner, _)) if owner != *member_id => fenced_instance(member_id, instance_id, &owner),
        Some((_, member)) => {
            check_epoch(&member, request)?;
            Ok(member)
        }
    }
}

pub(in crate::group) fn unknown_member<T>(
    draft: &Draft<'_>,
    member_id: &str,
) -> Result<T, Refusal> {
    let group_id = &draft.group_id;
    refuse(
        GroupError::UnknownMemberId,
        format!("Member {member_id} is not a member of group {group_id}."),
    )
}

pub(in crate::group) fn unknown_instance<T>(instance_id: &str) -> Result<T, Refusal> {
    let message = format!("Instance id {instance_id} is unknown.");
    refuse(GroupError::UnknownMemberId, message)
}

pub(in crate::group) fn fenced_instance<T>(
    member_id: &str,
    instance_id: &str,
    owner: &str,
) -> Result<T, Refusal> {
    refuse(
        GroupError::FencedInstanceId,
        format!(
            "Static member {member_id} with instance id {instance_id} was fenced by member {owner}."
        ),
    )
}

/// A static member came back under another member id: it takes the place of the old one.
pub(in crate::group) fn replace_static(
    draft: &mut Draft<'_>,
    old_id: &Arc<str>,
    old: &Member,
    new_id: &Arc<str>,
) -> Member {
    let target = draft.group.target(old_id);
    let member = Member {
        metadata: old.metadata.clone(),
        current: Arc::new(CurrentAssignment {
            epoch: 0,
            previous_epoch: 0,
            ..(*old.current).clone()
        }),
    };
    draft.remove_member(old_id);
    draft.write(Change::Member(
        new_id.clone(),
        Some(member.metadata.clone()),
    ));
    draft.write(Change::TargetMember(new_id.clone(), Some(target)));
    draft.write(Change::CurrentMember(
        new_id.clone(),
        Some(member.current.clone()),
    ));
    member
}

/// A member one epoch behind is let pass, for the answer that told it may have been lost, if it
/// says that it has nothing but what it was given.
fn check_epoch(member: &Member, request: &ConsumerHeartbeatRequest) -> Result<(), Refusal> {
    let (received, known) = (request.member_epoch, member.epoch());
    let behind_by_one = received == member.current.previous_epoch
        && request
            .owned
            .as_ref()
            .is_some_and(|owned| is_subset(owned, &without_epochs(&member.current.assigned)));
    let relation = match received.cmp(&known) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less if behind_by_one => return Ok(()),
        std::cmp::Ordering::Less => "smaller",
        std::cmp::Ordering::Greater => "greater",
    };
    refuse(
        GroupError::FencedMemberEpoch,
        format!(
            "The consumer group member has a {relation} member epoch ({received}) than the one \
             known by the group coordinator ({known}). The member must abandon all its partitions \
             and rejoin."
        ),
    )
}

fn is_subset(owned: &Partitions, assigned: &Partitions) -> bool {
    owned.iter().all(|(topic, partitions)| {
        partitions.is_empty()
            || assigned
                .get(topic)
                .is_some_and(|assigned| partitions.is_subset(assigned))
    })
}

/// The member as it is after what the heartbeat says has changed.
fn update(before: &Member, request: &ConsumerHeartbeatRequest) -> MemberMetadata {
    let old = &*before.metadata;
    let or_old = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    let topic_names = match &request.topic_names {
        Some(names) => names.iter().cloned().collect(),
        None => old.topic_names.clone(),
    };
    MemberMetadata {
        instance_id: or_old(&request.instance_id, &old.instance_id),
        rack_id: or_old(&request.rack_id, &old.rack_id),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topic_names,
        topic_regex: or_old(&request.topic_regex, &old.topic_regex),
        rebalance_timeout_ms: if request.rebalance_timeout_ms == -1 {
            old.rebalance_timeout_ms
        } else {
            request.rebalance_timeout_ms
        },
        server_assignor: or_old(&request.server_assignor, &old.server_assignor),
        classic: None,
    }
}

/// Takes over what a member says of itself and starts a new epoch if that changes what the group
/// subscribes to, or if topics have; tells whether the member's own subscription changed.
pub(in crate::group) fn subscribe(
    draft: &mut Draft<'_>,
    before: &Member,
    member_id: &Arc<str>,
    metadata: MemberMetadata,
) -> Result<bool, Refusal> {
    let old = &before.metadata;
    let names_changed = metadata.topic_names != old.topic_names;
    let new_regex = metadata
        .topic_regex
        .clone()
        .filter(|regex| !regex.is_empty());
    let regex_changed = new_regex.as_deref() != before.regex();
    if let Some(regex) = new_regex.filter(|_| regex_changed)
        && draft.group.regex_subscribers(&regex) == 0
    {
        regex::compile(&regex)?;
    }
    if metadata != **old || draft.member(member_id).is_none() {
        draft.write(Change::Member(member_id.clone(), Some(Arc::new(metadata))));
    }
    if regex_changed {
        regex::forget_unused(draft);
    }
    let refreshed = regex::refresh(draft);
    if names_changed || regex_changed || refreshed {
        draft.bump_epoch();
    } else {
        draft.bump_epoch_if_topics_changed();
    }
    Ok(names_changed || regex_changed)
}

fn answer(
    draft: &Draft<'_>,
    request: &ConsumerHeartbeatRequest,
    before: &Member,
    member_id: &Arc<str>,
) -> ConsumerHeartbeatReply {
    let current = draft.member(member_id).map(|member| member.current.clone());
    let current = current.unwrap_or_default();
    let assigned = without_epochs(&current.assigned);
    // A request that tells everything wants to be told everything.
    let is_full = request.rebalance_timeout_ms != -1
        && (request.topic_names.is_some() || request.topic_regex.is_some())
        && request.owned.is_some();
    let changed = assigned != without_epochs(&before.current.assigned);
    let overrides = draft.view.overrides(&draft.group_id);
    ConsumerHeartbeatReply {
        error: None,
        error_message: None,
        member_id: Some(member_id.to_string()),
        member_epoch: current.epoch,
        heartbeat_interval_ms: overrides
            .heartbeat_interval_ms
            .unwrap_or(draft.config.consumer_heartbeat_interval_ms),
        assignment: (request.member_epoch == 0 || is_full || changed).then_some(assigned),
    }
}

/// What a leaving member asks for.
pub(in crate::group) enum Leaving {
    /// It goes, and its partitions with it.
    Gone(Arc<str>),
    /// It keeps its place until its session ends.
    Back(Arc<str>),
}

/// Who leaves, if it may.
pub(in crate::group) fn find_leaving(
    draft: &Draft<'_>,
    request: &ConsumerHeartbeatRequest,
) -> Result<Leaving, Refusal> {
    let member_id = request.member_id.as_str();
    let Some(instance_id) = &request.instance_id else {
        let found = draft.group.members.get_key_value(member_id);
        return match found {
            Some((id, _)) => Ok(Leaving::Gone(id.clone())),
            None => unknown_member(draft, member_id),
        };
    };
    match draft.group.static_member(instance_id) {
        None => unknown_instance(instance_id),
        Some((owner, _)) if **owner != *member_id => fenced_instance(member_id, instance_id, owner),
        Some((owner, _)) if request.member_epoch == LEAVE_STATIC => {
            Ok(Leaving::Back(owner.clone()))
        }
        Some((owner, _)) => Ok(Leaving::Gone(owner.clone())),
    }
}

/// A static member that will be back: its epoch says so, its partitions stay its own.
pub(in crate::group) fn leave_for_a_while(draft: &mut Draft<'_>, member_id: &Arc<str>) {
    let Some(member) = draft.member(member_id) else {
        return;
    };
    let current = CurrentAssignment {
        epoch: LEAVE_STATIC,
        pending_revocation: BTreeMap::new(),
        ..(*member.current).clone()
    };
    draft.write(Change::CurrentMember(
        member_id.clone(),
        Some(Arc::new(current)),
    ));
}

/// Removes members and starts a new epoch without them.
pub(in crate::group) fn fence(draft: &mut Draft<'_>, member_ids: &BTreeSet<Arc<str>>) {
    if member_ids.is_empty() {
        return;
    }
    for member_id in member_ids {
        draft.remove_member(member_id);
    }
    regex::forget_unused(draft);
    draft.bump_epoch();
}
