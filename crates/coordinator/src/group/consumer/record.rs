//! The records of consumer groups in `__consumer_offsets`, byte for byte as Kafka 4.3 writes them.
//!
//! ```text
//! key    int16 3  string group                   ConsumerGroupMetadata
//!        int16 4  string group                   ConsumerGroupPartitionMetadata, before 4.1 only
//!        int16 5  string group  string member    ConsumerGroupMemberMetadata
//!        int16 6  string group                   ConsumerGroupTargetAssignmentMetadata
//!        int16 7  string group  string member    ConsumerGroupTargetAssignmentMember
//!        int16 8  string group  string member    ConsumerGroupCurrentMemberAssignment
//!        int16 16 string group  string regex     ConsumerGroupRegularExpression
//!
//! value  int16 0, then compact types (KIP-482):
//!   3    int32 epoch                                         tag 0: int64 metadataHash
//!   5    nullable instanceId  nullable rackId  string clientId  string clientHost
//!        array string topicNames  nullable topicRegex  int32 rebalanceTimeout
//!        nullable serverAssignor                             tag 0: classic member, after a byte 1:
//!                                  int32 sessionTimeout  array (string name, bytes metadata)
//!   6    int32 assignmentEpoch                               tag 0: int64 assignmentTimestamp
//!   7    array (uuid topic, array int32 partitions)
//!   8    int32 epoch  int32 previousEpoch  int8 state  array assigned  array pendingRevocation,
//!        each (uuid topic, array int32 partitions)           tag 0: array int32 assignmentEpochs
//!   16   array string topics  int64 version  int64 timestamp
//! ```
//! Lists are sorted, so that equal states are equal bytes. A tag is left out when it has its
//! default, which is 0 or null.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::topics::TopicId;
use crate::codec::{
    Reader, put_compact_nullable_string, put_compact_string, put_int16, put_int32, put_int64,
    put_string, put_tagged_fields, put_unsigned_varint,
};
use crate::error::CoordinatorError;
use crate::group::message::JoinProtocol;
use crate::group::record::CoordinatorRecord;

const METADATA: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER_METADATA: i16 = 5;
const TARGET_METADATA: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT_MEMBER: i16 = 8;
const REGULAR_EXPRESSION: i16 = 16;
const VALUE_VERSION: i16 = 0;

/// Partitions by topic.
pub(in crate::group) type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;
/// Partitions by topic, each with the epoch at which its member got it (KIP-1251).
pub(in crate::group) type OwnedPartitions = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// What the record is about, beside its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerKey {
    Metadata,
    PartitionMetadata,
    Member(String),
    TargetMetadata,
    TargetMember(String),
    CurrentMember(String),
    RegularExpression(String),
}

/// A member as it described itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::group) struct MemberMetadata {
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) rack_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) topic_names: BTreeSet<String>,
    /// Empty is none too: it takes back one that was there.
    pub(in crate::group) topic_regex: Option<String>,
    pub(in crate::group) rebalance_timeout_ms: i32,
    pub(in crate::group) server_assignor: Option<String>,
    /// Of a member that uses the classic protocol.
    pub(in crate::group) classic: Option<ClassicMetadata>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::group) struct ClassicMetadata {
    pub(in crate::group) session_timeout_ms: i32,
    /// In the member's order of preference.
    pub(in crate::group) protocols: Vec<JoinProtocol>,
}

/// How far a member is with its target assignment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::group) enum MemberState {
    /// It has what the target of its epoch gives it.
    #[default]
    Stable,
    /// It has to give partitions up first.
    UnrevokedPartitions,
    /// It waits for partitions that others still have.
    UnreleasedPartitions,
    /// Written by a later version.
    Unknown,
}

impl MemberState {
    fn id(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    fn from_id(id: i8) -> Self {
        match id {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// What a member has and at which epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::group) struct CurrentAssignment {
    pub(in crate::group) epoch: i32,
    pub(in crate::group) previous_epoch: i32,
    pub(in crate::group) state: MemberState,
    pub(in crate::group) assigned: OwnedPartitions,
    pub(in crate::group) pending_revocation: OwnedPartitions,
}

/// The topics that a regular expression stood for when it was resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::group) struct ResolvedRegex {
    pub(in crate::group) topics: BTreeSet<String>,
    /// The version of the metadata.
    pub(in crate::group) version: i64,
    pub(in crate::group) timestamp_ms: i64,
}

/// A change of a consumer group; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::group) enum Change {
    Metadata(Option<GroupEpoch>),
    /// Whether there is a value.
    PartitionMetadata(bool),
    Member(Arc<str>, Option<Arc<MemberMetadata>>),
    TargetMetadata(Option<TargetEpoch>),
    TargetMember(Arc<str>, Option<Arc<Partitions>>),
    CurrentMember(Arc<str>, Option<Arc<CurrentAssignment>>),
    RegularExpression(String, Option<Arc<ResolvedRegex>>),
}

impl Change {
    pub(in crate::group) fn has_value(&self) -> bool {
        match self {
            Self::Metadata(value) => value.is_some(),
            Self::PartitionMetadata(is_there) => *is_there,
            Self::Member(_, value) => value.is_some(),
            Self::TargetMetadata(value) => value.is_some(),
            Self::TargetMember(_, value) => value.is_some(),
            Self::CurrentMember(_, value) => value.is_some(),
            Self::RegularExpression(_, value) => value.is_some(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::group) struct GroupEpoch {
    pub(in crate::group) epoch: i32,
    pub(in crate::group) metadata_hash: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::group) struct TargetEpoch {
    pub(in crate::group) epoch: i32,
    /// When it was computed; 0 when unknown.
    pub(in crate::group) timestamp_ms: i64,
}

// Reading

/// Reads a key whose version says that it belongs to a consumer group; `None` for other versions.
pub(in crate::group) fn decode_key(
    bytes: &[u8],
) -> Result<Option<(String, ConsumerKey)>, CoordinatorError> {
    let mut reader = Reader::new("ConsumerGroupKey", bytes);
    let version = reader.int16("version")?;
    let known = [
        METADATA,
        PARTITION_METADATA,
        MEMBER_METADATA,
        TARGET_METADATA,
        TARGET_MEMBER,
        CURRENT_MEMBER,
        REGULAR_EXPRESSION,
    ];
    if !known.contains(&version) {
        return Ok(None);
    }
    let group_id = reader.string("group", false)?;
    let key = match version {
        METADATA => ConsumerKey::Metadata,
        PARTITION_METADATA => ConsumerKey::PartitionMetadata,
        MEMBER_METADATA => ConsumerKey::Member(reader.string("member", false)?),
        TARGET_METADATA => ConsumerKey::TargetMetadata,
        TARGET_MEMBER => ConsumerKey::TargetMember(reader.string("member", false)?),
        CURRENT_MEMBER => ConsumerKey::CurrentMember(reader.string("member", false)?),
        _ => ConsumerKey::RegularExpression(reader.string("regex", false)?),
    };
    Ok(Some((group_id, key)))
}

/// Reads the value that belongs to a key.
pub(in crate::group) fn decode(
    key: ConsumerKey,
    value: Option<&[u8]>,
) -> Result<Change, CoordinatorError> {
    Ok(match key {
        ConsumerKey::Metadata => Change::Metadata(value.map(group_epoch).transpose()?),
        ConsumerKey::PartitionMetadata => Change::PartitionMetadata(value.is_some()),
        ConsumerKey::Member(id) => {
            let member = value.map(member_metadata).transpose()?;
            Change::Member(Arc::from(id), member.map(Arc::new))
        }
        ConsumerKey::TargetMetadata => Change::TargetMetadata(value.map(target_epoch).transpose()?),
        ConsumerKey::TargetMember(id) => {
            let target = value.map(target_member).transpose()?;
            Change::TargetMember(Arc::from(id), target.map(Arc::new))
        }
        ConsumerKey::CurrentMember(id) => {
            let current = value.map(current_assignment).transpose()?;
            Change::CurrentMember(Arc::from(id), current.map(Arc::new))
        }
        ConsumerKey::RegularExpression(regex) => {
            let resolved = value.map(resolved_regex).transpose()?;
            Change::RegularExpression(regex, resolved.map(Arc::new))
        }
    })
}

fn value_reader<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, CoordinatorError> {
    let mut reader = Reader::new(what, bytes);
    let version = reader.int16("version")?;
    if version == VALUE_VERSION {
        Ok(reader)
    } else {
        Err(CoordinatorError::UnsupportedVersion {
            what,
            version,
            newest: VALUE_VERSION,
        })
    }
}

fn group_epoch(bytes: &[u8]) -> Result<GroupEpoch, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupMetadataValue", bytes)?;
    let epoch = reader.int32("epoch")?;
    let metadata_hash = match reader.first_tagged_field()? {
        Some(mut tagged) => tagged.int64("metadataHash")?,
        None => 0,
    };
    Ok(GroupEpoch {
        epoch,
        metadata_hash,
    })
}

fn target_epoch(bytes: &[u8]) -> Result<TargetEpoch, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupTargetAssignmentMetadataValue", bytes)?;
    let epoch = reader.int32("assignmentEpoch")?;
    let timestamp_ms = match reader.first_tagged_field()? {
        Some(mut tagged) => tagged.int64("assignmentTimestamp")?,
        None => 0,
    };
    Ok(TargetEpoch {
        epoch,
        timestamp_ms,
    })
}

fn member_metadata(bytes: &[u8]) -> Result<MemberMetadata, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupMemberMetadataValue", bytes)?;
    let mut member = MemberMetadata {
        instance_id: reader.nullable_string("instanceId", true)?,
        rack_id: reader.nullable_string("rackId", true)?,
        client_id: reader.string("clientId", true)?,
        client_host: reader.string("clientHost", true)?,
        topic_names: strings(&mut reader, "subscribedTopicNames")?,
        topic_regex: reader.nullable_string("subscribedTopicRegex", true)?,
        rebalance_timeout_ms: reader.int32("rebalanceTimeout")?,
        server_assignor: reader.nullable_string("serverAssignor", true)?,
        classic: None,
    };
    if let Some(mut tagged) = reader.first_tagged_field()?
        && tagged.int8("classicMemberMetadata")? >= 0
    {
        member.classic = Some(classic_metadata(&mut tagged)?);
    }
    Ok(member)
}

fn classic_metadata(reader: &mut Reader<'_>) -> Result<ClassicMetadata, CoordinatorError> {
    let session_timeout_ms = reader.int32("sessionTimeout")?;
    let mut protocols = Vec::new();
    for _ in 0..reader.array_length("supportedProtocols", true)? {
        protocols.push(JoinProtocol {
            name: reader.string("name", true)?,
            metadata: reader.bytes("metadata", true)?,
        });
        reader.tagged_fields()?;
    }
    Ok(ClassicMetadata {
        session_timeout_ms,
        protocols,
    })
}

fn strings(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<BTreeSet<String>, CoordinatorError> {
    let mut strings = BTreeSet::new();
    for _ in 0..reader.array_length(field, true)? {
        strings.insert(reader.string(field, true)?);
    }
    Ok(strings)
}

fn target_member(bytes: &[u8]) -> Result<Partitions, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupTargetAssignmentMemberValue", bytes)?;
    let mut partitions = Partitions::new();
    for _ in 0..reader.array_length("topicPartitions", true)? {
        let topic = partitions
            .entry(TopicId(reader.uuid("topicId")?))
            .or_default();
        for _ in 0..reader.array_length("partitions", true)? {
            topic.insert(reader.int32("partitions")?);
        }
        reader.tagged_fields()?;
    }
    partitions.retain(|_, partitions| !partitions.is_empty());
    Ok(partitions)
}

fn current_assignment(bytes: &[u8]) -> Result<CurrentAssignment, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupCurrentMemberAssignmentValue", bytes)?;
    let epoch = reader.int32("memberEpoch")?;
    Ok(CurrentAssignment {
        epoch,
        previous_epoch: reader.int32("previousMemberEpoch")?,
        state: MemberState::from_id(reader.int8("state")?),
        assigned: owned_partitions(&mut reader, epoch)?,
        pending_revocation: owned_partitions(&mut reader, epoch)?,
    })
}

/// Partitions of before 4.3 have no epochs; the member's is what they were fenced by.
fn owned_partitions(
    reader: &mut Reader<'_>,
    member_epoch: i32,
) -> Result<OwnedPartitions, CoordinatorError> {
    let mut owned = OwnedPartitions::new();
    for _ in 0..reader.array_length("topicPartitions", true)? {
        let id = TopicId(reader.uuid("topicId")?);
        let mut partitions = Vec::new();
        for _ in 0..reader.array_length("partitions", true)? {
            partitions.push(reader.int32("partitions")?);
        }
        let mut epochs = Vec::new();
        if let Some(mut tagged) = reader.first_tagged_field()? {
            for _ in 0..tagged.array_length("assignmentEpochs", true)? {
                epochs.push(tagged.int32("assignmentEpochs")?);
            }
        }
        let epochs = epochs.into_iter().chain(std::iter::repeat(member_epoch));
        let topic = owned.entry(id).or_default();
        topic.extend(partitions.into_iter().zip(epochs));
    }
    owned.retain(|_, partitions| !partitions.is_empty());
    Ok(owned)
}

fn resolved_regex(bytes: &[u8]) -> Result<ResolvedRegex, CoordinatorError> {
    let mut reader = value_reader("ConsumerGroupRegularExpressionValue", bytes)?;
    Ok(ResolvedRegex {
        topics: strings(&mut reader, "topics")?,
        version: reader.int64("version")?,
        timestamp_ms: reader.int64("timestamp")?,
    })
}

// Writing

/// The record of a change.
pub(in crate::group) fn encode(group_id: &str, change: &Change) -> CoordinatorRecord {
    let (version, name, value) = match change {
        Change::Metadata(value) => (METADATA, None, value.as_ref().map(put_group_epoch)),
        Change::PartitionMetadata(_) => (PARTITION_METADATA, None, None),
        Change::Member(id, value) => (
            MEMBER_METADATA,
            Some(&**id),
            value.as_deref().map(put_member_metadata),
        ),
        Change::TargetMetadata(value) => {
            (TARGET_METADATA, None, value.as_ref().map(put_target_epoch))
        }
        Change::TargetMember(id, value) => (
            TARGET_MEMBER,
            Some(&**id),
            value.as_deref().map(put_target_member),
        ),
        Change::CurrentMember(id, value) => (
            CURRENT_MEMBER,
            Some(&**id),
            value.as_deref().map(put_current_assignment),
        ),
        Change::RegularExpression(regex, value) => (
            REGULAR_EXPRESSION,
            Some(regex.as_str()),
            value.as_deref().map(put_resolved_regex),
        ),
    };
    let mut key = Vec::with_capacity(8 + group_id.len() + name.map_or(0, str::len));
    put_int16(&mut key, version);
    put_string(&mut key, group_id);
    if let Some(name) = name {
        put_string(&mut key, name);
    }
    CoordinatorRecord { key, value }
}

fn new_value() -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    put_int16(&mut out, VALUE_VERSION);
    out
}

fn put_nonzero_tag(out: &mut Vec<u8>, value: i64) {
    let bytes = value.to_be_bytes();
    put_tagged_fields(out, (value != 0).then_some(&bytes[..]));
}

fn put_group_epoch(value: &GroupEpoch) -> Vec<u8> {
    let mut out = new_value();
    put_int32(&mut out, value.epoch);
    put_nonzero_tag(&mut out, value.metadata_hash);
    out
}

fn put_target_epoch(value: &TargetEpoch) -> Vec<u8> {
    let mut out = new_value();
    put_int32(&mut out, value.epoch);
    put_nonzero_tag(&mut out, value.timestamp_ms);
    out
}

fn put_strings(out: &mut Vec<u8>, strings: &BTreeSet<String>) {
    put_unsigned_varint(out, strings.len() + 1);
    for text in strings {
        put_compact_string(out, text);
    }
}

fn put_member_metadata(member: &MemberMetadata) -> Vec<u8> {
    let mut out = new_value();
    put_compact_nullable_string(&mut out, member.instance_id.as_deref());
    put_compact_nullable_string(&mut out, member.rack_id.as_deref());
    put_compact_string(&mut out, &member.client_id);
    put_compact_string(&mut out, &member.client_host);
    put_strings(&mut out, &member.topic_names);
    put_compact_nullable_string(&mut out, member.topic_regex.as_deref());
    put_int32(&mut out, member.rebalance_timeout_ms);
    put_compact_nullable_string(&mut out, member.server_assignor.as_deref());
    let classic = member.classic.as_ref().map(put_classic_metadata);
    put_tagged_fields(&mut out, classic.as_deref());
    out
}

fn put_classic_metadata(classic: &ClassicMetadata) -> Vec<u8> {
    let mut out = vec![1];
    put_int32(&mut out, classic.session_timeout_ms);
    put_unsigned_varint(&mut out, classic.protocols.len() + 1);
    for protocol in &classic.protocols {
        put_compact_string(&mut out, &protocol.name);
        put_unsigned_varint(&mut out, protocol.metadata.len() + 1);
        out.extend_from_slice(&protocol.metadata);
        put_tagged_fields(&mut out, None);
    }
    put_tagged_fields(&mut out, None);
    out
}

fn put_int32s<'a>(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = &'a i32>) {
    put_unsigned_varint(out, values.len() + 1);
    values.for_each(|value| put_int32(out, *value));
}

fn put_target_member(partitions: &Partitions) -> Vec<u8> {
    let mut out = new_value();
    put_unsigned_varint(&mut out, partitions.len() + 1);
    for (topic, partitions) in partitions {
        out.extend_from_slice(&topic.0);
        put_int32s(&mut out, partitions.iter());
        put_tagged_fields(&mut out, None);
    }
    put_tagged_fields(&mut out, None);
    out
}

fn put_current_assignment(current: &CurrentAssignment) -> Vec<u8> {
    let mut out = new_value();
    put_int32(&mut out, current.epoch);
    put_int32(&mut out, current.previous_epoch);
    out.extend_from_slice(&current.state.id().to_be_bytes());
    put_owned_partitions(&mut out, &current.assigned);
    put_owned_partitions(&mut out, &current.pending_revocation);
    put_tagged_fields(&mut out, None);
    out
}

fn put_owned_partitions(out: &mut Vec<u8>, owned: &OwnedPartitions) {
    put_unsigned_varint(out, owned.len() + 1);
    for (topic, partitions) in owned {
        out.extend_from_slice(&topic.0);
        put_int32s(out, partitions.keys());
        let mut epochs = Vec::new();
        put_int32s(&mut epochs, partitions.values());
        put_tagged_fields(out, Some(&epochs));
    }
}

fn put_resolved_regex(resolved: &ResolvedRegex) -> Vec<u8> {
    let mut out = new_value();
    put_strings(&mut out, &resolved.topics);
    put_int64(&mut out, resolved.version);
    put_int64(&mut out, resolved.timestamp_ms);
    put_tagged_fields(&mut out, None);
    out
}

#[cfg(test)]
mod tests;
