//! Groups: who is in them, what they have committed, and changing that. Each is asked of its coordinator.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_protocol::messages::RequestResponsePair;
use lastword_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use lastword_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use lastword_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use lastword_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use lastword_protocol::messages::list_groups_request::ListGroupsRequest;
use lastword_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use lastword_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use lastword_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::Client;
use crate::error::{CliError, Exit, Result};
use crate::output::nearest;

/// The last versions with topic names; later ones carry ids.
const HIGHEST_WITH_NAMES: i16 = 9;
/// Later ones of OffsetFetch ask for several groups, of FindCoordinator for several keys.
const HIGHEST_OF_ONE_GROUP: i16 = 7;
const HIGHEST_OF_ONE_COORDINATOR: i16 = 3;
/// A coordinator that has just been started says so for a while.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// One group in a list.
#[derive(Clone, Debug)]
pub struct ListedGroup {
    pub id: String,
    pub state: String,
    /// `classic`, `consumer` and so on; empty from brokers that do not tell.
    pub kind: String,
    pub protocol: String,
}

/// One group.
#[derive(Clone, Debug)]
pub struct DescribedGroup {
    pub state: String,
    pub kind: &'static str,
    pub assignor: String,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Topics and partitions.
    pub assignment: Vec<(String, Vec<i32>)>,
}

/// By topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

pub fn list(client: &mut Client) -> Result<Vec<ListedGroup>> {
    let request = message!(ListGroupsRequest {});
    let response = while_passing(|| client.call(&request), |response| response.error_code)?;
    if response.error_code != 0 {
        return Err(CliError::refused(
            "cannot list groups",
            response.error_code,
            None,
        ));
    }
    let groups = response.groups.into_iter().map(|group| ListedGroup {
        id: group.group_id.to_string(),
        state: group.group_state.to_string(),
        kind: group.group_type.to_string(),
        protocol: group.protocol_type.to_string(),
    });
    let mut groups: Vec<ListedGroup> = groups.collect();
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(groups)
}

/// The group, or an error that offers the nearest name.
pub fn describe(client: &mut Client, id: &str) -> Result<DescribedGroup> {
    let listed = list(client)?;
    let Some(group) = listed.iter().find(|group| group.id == id) else {
        return Err(unknown(&listed, id));
    };
    if group.kind.eq_ignore_ascii_case("consumer") {
        return describe_consumer(client, id);
    }
    let request = message!(DescribeGroupsRequest {
        groups: vec![StrBytes::from(id)],
    });
    let response = of_coordinator(client, id, &request, i16::MAX, |response| {
        response.groups.first().map_or(0, |group| group.error_code)
    })?;
    let found = response.groups.into_iter().next();
    let found = found.ok_or_else(|| empty("DescribeGroups"))?;
    if found.error_code != 0 {
        return Err(refused(
            format!("cannot describe group {id}"),
            found.error_code,
        ));
    }
    let members = found.members.into_iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: assignment(&member.member_assignment).unwrap_or_default(),
    });
    Ok(DescribedGroup {
        state: found.group_state.to_string(),
        kind: "classic",
        assignor: found.protocol_data.to_string(),
        members: members.collect(),
    })
}

fn describe_consumer(client: &mut Client, id: &str) -> Result<DescribedGroup> {
    let request = message!(ConsumerGroupDescribeRequest {
        group_ids: vec![StrBytes::from(id)],
    });
    let response = of_coordinator(client, id, &request, i16::MAX, |response| {
        response.groups.first().map_or(0, |group| group.error_code)
    })?;
    let found = response.groups.into_iter().next();
    let found = found.ok_or_else(|| empty("ConsumerGroupDescribe"))?;
    if found.error_code != 0 {
        return Err(refused(
            format!("cannot describe group {id}"),
            found.error_code,
        ));
    }
    let members = found.members.into_iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: member
            .assignment
            .topic_partitions
            .into_iter()
            .map(|topic| (topic.topic_name.to_string(), topic.partitions))
            .collect(),
    });
    Ok(DescribedGroup {
        state: found.group_state.to_string(),
        kind: "consumer",
        assignor: found.assignor_name.to_string(),
        members: members.collect(),
    })
}

/// What a group has committed; nothing of a group that is not there.
pub fn committed(client: &mut Client, id: &str) -> Result<Offsets> {
    let request = message!(OffsetFetchRequest {
        group_id: StrBytes::from(id),
        topics: None,
    });
    let response = of_coordinator(client, id, &request, HIGHEST_OF_ONE_GROUP, |response| {
        response.error_code
    })?;
    if response.error_code != 0 {
        let what = format!("no offsets of group {id}");
        return Err(refused(what, response.error_code));
    }
    let mut offsets = Offsets::new();
    for topic in &response.topics {
        for it in &topic.partitions {
            let key = (topic.name.to_string(), it.partition_index);
            offsets.insert(key, it.committed_offset);
        }
    }
    offsets.retain(|_, offset| *offset >= 0);
    Ok(offsets)
}

/// Commits for a group that nobody is in.
pub fn commit(client: &mut Client, id: &str, offsets: &Offsets) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in offsets {
        let of_topic = topics.entry(topic).or_default();
        of_topic.push(message!(OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(StrBytes::from("")),
        }));
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        message!(OffsetCommitRequestTopic {
            name: StrBytes::from(name),
            partitions,
        })
    });
    let request = message!(OffsetCommitRequest {
        group_id: StrBytes::from(id),
        generation_id_or_member_epoch: -1,
        topics: topics.collect::<Vec<_>>(),
    });
    let first_error = |response: &<OffsetCommitRequest as RequestResponsePair>::Response| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let mut codes = partitions.map(|partition| partition.error_code);
        codes.find(|code| *code != 0).unwrap_or(0)
    };
    let response = of_coordinator(client, id, &request, HIGHEST_WITH_NAMES, first_error)?;
    match first_error(&response) {
        0 => Ok(()),
        code => Err(refused(format!("cannot commit for group {id}"), code)),
    }
}

pub fn delete(client: &mut Client, id: &str) -> Result<()> {
    let request = message!(DeleteGroupsRequest {
        groups_names: vec![StrBytes::from(id)],
    });
    let response = of_coordinator(client, id, &request, i16::MAX, |response| {
        response
            .results
            .first()
            .map_or(0, |result| result.error_code)
    })?;
    let result = response.results.first();
    match result.ok_or_else(|| empty("DeleteGroups"))?.error_code {
        0 => Ok(()),
        code => {
            let listed = list(client).unwrap_or_default();
            Err(match ErrorCode::from_code(code) {
                Some(ErrorCode::GroupIdNotFound) => unknown(&listed, id),
                _ => refused(format!("cannot delete group {id}"), code),
            })
        }
    }
}

/// Forgets what a group has committed for these partitions.
pub fn delete_offsets(client: &mut Client, id: &str, partitions: &[(String, i32)]) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, partition) in partitions {
        let of_topic = topics.entry(topic).or_default();
        of_topic.push(message!(OffsetDeleteRequestPartition {
            partition_index: *partition,
        }));
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        message!(OffsetDeleteRequestTopic {
            name: StrBytes::from(name),
            partitions,
        })
    });
    let request = message!(OffsetDeleteRequest {
        group_id: StrBytes::from(id),
        topics: topics.collect::<Vec<_>>(),
    });
    let first_error = |response: &<OffsetDeleteRequest as RequestResponsePair>::Response| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let codes = std::iter::once(response.error_code);
        let mut codes = codes.chain(partitions.map(|partition| partition.error_code));
        codes.find(|code| *code != 0).unwrap_or(0)
    };
    let response = of_coordinator(client, id, &request, i16::MAX, first_error)?;
    match first_error(&response) {
        0 => Ok(()),
        code => Err(refused(
            format!("cannot forget offsets of group {id}"),
            code,
        )),
    }
}

/// Asks the group's coordinator, again for as long as that is only being loaded or found.
fn of_coordinator<R: RequestResponsePair>(
    client: &mut Client,
    id: &str,
    request: &R,
    highest: i16,
    error_of: impl Fn(&R::Response) -> i16,
) -> Result<R::Response> {
    let ask = || {
        let node = coordinator(client, id)?;
        client.call_node(node, request, highest, Duration::ZERO)
    };
    while_passing(ask, error_of)
}

fn coordinator(client: &mut Client, id: &str) -> Result<i32> {
    let request = message!(FindCoordinatorRequest {
        key: StrBytes::from(id),
        key_type: 0,
    });
    let ask = || client.call_up_to(&request, HIGHEST_OF_ONE_COORDINATOR);
    let response = while_passing(ask, |response| response.error_code)?;
    if response.error_code != 0 {
        let what = format!("no coordinator of group {id}");
        return Err(refused(what, response.error_code));
    }
    client.learn_node(response.node_id, &response.host, response.port);
    Ok(response.node_id)
}

/// Asks again for as long as the answer is an error that passes by itself, and not for ever.
fn while_passing<R>(mut ask: impl FnMut() -> Result<R>, error_of: impl Fn(&R) -> i16) -> Result<R> {
    let mut tries = 0;
    loop {
        let response = ask()?;
        if !is_passing(error_of(&response)) || tries >= TRIES {
            return Ok(response);
        }
        tries += 1;
        std::thread::sleep(BETWEEN_TRIES);
    }
}

fn is_passing(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        Some(
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
        )
    )
}

fn refused(what: String, code: i16) -> CliError {
    let error = CliError::refused(what, code, None);
    match ErrorCode::from_code(code) {
        Some(
            ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress,
        ) => error.hint("the group has members: stop them first"),
        Some(ErrorCode::GroupSubscribedToTopic) => {
            error.hint("a member of the group reads that topic: stop it first")
        }
        Some(ErrorCode::GroupIdNotFound) => error.hint("lastword group ls"),
        _ => error,
    }
}

fn unknown(listed: &[ListedGroup], id: &str) -> CliError {
    let code = ErrorCode::GroupIdNotFound as i16;
    let error = CliError::refused(format!("there is no group {id}"), code, None);
    match nearest(id, listed.iter().map(|group| group.id.as_str())) {
        Some(near) => error.hint(near.to_owned()),
        None => error.hint("lastword group ls"),
    }
}

fn empty(api: &str) -> CliError {
    CliError::new(
        Exit::Refused,
        "PROTOCOL",
        format!("an empty answer to {api}"),
    )
}

/// `ConsumerProtocolAssignment`, as far as all its versions have it; none when these bytes are something else.
fn assignment(bytes: &[u8]) -> Option<Vec<(String, Vec<i32>)>> {
    let mut rest = bytes;
    let _version = i16::from_be_bytes(take(&mut rest)?);
    let count = i32::from_be_bytes(take(&mut rest)?);
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let name = String::from_utf8(rest.get(..length)?.to_vec()).ok()?;
        rest = rest.get(length..)?;
        let count = i32::from_be_bytes(take(&mut rest)?);
        let mut partitions = Vec::new();
        for _ in 0..count {
            partitions.push(i32::from_be_bytes(take(&mut rest)?));
        }
        topics.push((name, partitions));
    }
    Some(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn an_assignment_is_read_and_bytes_that_are_none_are_not() {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2];
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 7, 255, 255, 255, 255]);
        assert_eq!(
            assignment(&bytes),
            Some(vec![("ab".to_owned(), vec![0, 7])])
        );
        for end in 0..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..end]), None, "{end}");
        }
        assert_eq!(assignment(&[0, 1, 127, 255, 255, 255]), None);
    }
}
