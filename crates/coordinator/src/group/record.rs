//! The records of `__consumer_offsets`, byte for byte as Kafka writes them.
//!
//! ```text
//! key    int16 version 0..1  string group  string topic  int32 partition     offset commit
//!        int16 version 2     string group                                    group metadata
//!
//! OffsetCommitValue v3       int64 offset  int32 leaderEpoch  string metadata  int64 commitTimestamp
//!                   v1       int64 offset  string metadata  int64 commitTimestamp  int64 expireTimestamp
//!                   v0, v2   int64 offset  string metadata  int64 commitTimestamp
//!                   v4       v3 with compact strings and tagged fields
//!
//! GroupMetadataValue v3      string protocolType  int32 generation  nullable protocol
//!                            nullable leader  int64 currentStateTimestamp (v2+)  array members:
//!   member                   string memberId  nullable groupInstanceId (v3+)  string clientId
//!                            string clientHost  int32 rebalanceTimeout (v1+)  int32 sessionTimeout
//!                            bytes subscription  bytes assignment
//!                    v4      v3 with compact types and tagged fields
//! ```
//! Strings have a length of 16 bits, bytes and arrays one of 32; -1 is null. A value of null is a
//! tombstone. We write key versions 1 and 2 and value version 3, or version 1 for an offset with an
//! expiry of its own, and read 0 to 4. Keys of other versions belong to other group types and are
//! not ours to judge.

use bytes::Bytes;

use super::codec::{
    Reader, put_bytes, put_int16, put_int32, put_int64, put_length, put_nullable_string, put_string,
};
use super::consumer::record::{self as consumer_record, ConsumerKey};
use crate::error::CoordinatorError;

/// A record for the internal topic; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// The key of a record: what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorKey {
    OffsetCommit {
        group_id: String,
        topic: String,
        partition: i32,
    },
    GroupMetadata {
        group_id: String,
    },
    ConsumerGroup {
        group_id: String,
        key: ConsumerKey,
    },
    /// A key of a newer kind of group.
    Other {
        version: i16,
    },
}

/// A committed offset, whatever version it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitValue {
    pub offset: i64,
    /// -1 when unknown.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp_ms: i64,
    pub expire_timestamp_ms: Option<i64>,
}

/// A member as it stands in a group record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// A generation of a group, whatever version it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation_id: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    pub current_state_timestamp_ms: Option<i64>,
    pub members: Vec<GroupMetadataMember>,
}

const OFFSET_COMMIT_KEY_VERSION: u8 = 1;
const GROUP_METADATA_KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;
const VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const VALUE_VERSION_NEWEST: i16 = 4;
const FIRST_FLEXIBLE_VERSION: i16 = 4;

/// The key of a committed offset where it stands: nearly all records of a partition are of this
/// kind, and loading reads every one.
#[derive(Debug, Clone, Copy)]
pub(super) struct OffsetCommitKey<'a> {
    pub(super) group_id: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
}

/// Reads the key of a committed offset; `None` if it is of another kind.
pub(super) fn decode_offset_commit_key(
    bytes: &[u8],
) -> Result<Option<OffsetCommitKey<'_>>, CoordinatorError> {
    let mut reader = Reader::new("OffsetCommitKey", bytes);
    if !matches!(bytes, [0, 0 | OFFSET_COMMIT_KEY_VERSION, ..]) {
        return Ok(None);
    }
    reader.int16("version")?;
    Ok(Some(OffsetCommitKey {
        group_id: reader.text("group", false)?,
        topic: reader.text("topic", false)?,
        partition: reader.int32("partition")?,
    }))
}

/// Reads the key of a record.
pub fn decode_key(bytes: &[u8]) -> Result<CoordinatorKey, CoordinatorError> {
    if let Some(key) = decode_offset_commit_key(bytes)? {
        return Ok(CoordinatorKey::OffsetCommit {
            group_id: key.group_id.to_owned(),
            topic: key.topic.to_owned(),
            partition: key.partition,
        });
    }
    let version = Reader::new("coordinator key", bytes).int16("version")?;
    match version {
        2 => {
            let mut reader = Reader::new("GroupMetadataKey", bytes);
            reader.int16("version")?;
            Ok(CoordinatorKey::GroupMetadata {
                group_id: reader.string("group", false)?,
            })
        }
        version => Ok(match consumer_record::decode_key(bytes)? {
            Some((group_id, key)) => CoordinatorKey::ConsumerGroup { group_id, key },
            None => CoordinatorKey::Other { version },
        }),
    }
}

fn value_version(reader: &mut Reader<'_>, what: &'static str) -> Result<i16, CoordinatorError> {
    match reader.int16("version")? {
        version @ 0..=VALUE_VERSION_NEWEST => Ok(version),
        version => Err(CoordinatorError::UnsupportedVersion {
            what,
            version,
            newest: VALUE_VERSION_NEWEST,
        }),
    }
}

/// Reads a committed offset, versions 0 to 4.
pub fn decode_offset_commit_value(bytes: &[u8]) -> Result<OffsetCommitValue, CoordinatorError> {
    const WHAT: &str = "OffsetCommitValue";
    let mut reader = Reader::new(WHAT, bytes);
    let version = value_version(&mut reader, WHAT)?;
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    let offset = reader.int64("offset")?;
    let leader_epoch = if version >= 3 {
        reader.int32("leaderEpoch")?
    } else {
        -1
    };
    let metadata = reader.string("metadata", flexible)?;
    let commit_timestamp_ms = reader.int64("commitTimestamp")?;
    let expire_timestamp_ms = if version == VALUE_VERSION_WITH_EXPIRY {
        Some(reader.int64("expireTimestamp")?).filter(|timestamp| *timestamp != -1)
    } else {
        None
    };
    if flexible {
        reader.tagged_fields()?;
    }
    // A flexible string can be longer than the version that we would write it in.
    if metadata.len() > i16::MAX as usize {
        return Err(reader.malformed("metadata"));
    }
    Ok(OffsetCommitValue {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp_ms,
        expire_timestamp_ms,
    })
}

/// Reads a generation of a group, versions 0 to 4.
pub fn decode_group_metadata_value(bytes: &[u8]) -> Result<GroupMetadataValue, CoordinatorError> {
    const WHAT: &str = "GroupMetadataValue";
    let mut reader = Reader::new(WHAT, bytes);
    let version = value_version(&mut reader, WHAT)?;
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    let protocol_type = reader.string("protocolType", flexible)?;
    let generation_id = reader.int32("generation")?;
    let protocol = reader.nullable_string("protocol", flexible)?;
    let leader = reader.nullable_string("leader", flexible)?;
    let current_state_timestamp_ms = if version >= 2 {
        Some(reader.int64("currentStateTimestamp")?).filter(|timestamp| *timestamp != -1)
    } else {
        None
    };
    let mut members = Vec::new();
    for _ in 0..reader.array_length("members", flexible)? {
        members.push(decode_member(&mut reader, version)?);
    }
    if flexible {
        reader.tagged_fields()?;
    }
    let names = members.iter().flat_map(|member| {
        [&member.member_id, &member.client_id, &member.client_host]
            .into_iter()
            .chain(&member.group_instance_id)
    });
    let longest = names
        .chain(&protocol)
        .chain(&leader)
        .chain([&protocol_type])
        .map(String::len);
    if longest.max() > Some(i16::MAX as usize) {
        return Err(reader.malformed("string length"));
    }
    Ok(GroupMetadataValue {
        protocol_type,
        generation_id,
        protocol,
        leader,
        current_state_timestamp_ms,
        members,
    })
}

fn decode_member(
    reader: &mut Reader<'_>,
    version: i16,
) -> Result<GroupMetadataMember, CoordinatorError> {
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    let member_id = reader.string("memberId", flexible)?;
    let group_instance_id = if version >= 3 {
        reader.nullable_string("groupInstanceId", flexible)?
    } else {
        None
    };
    let client_id = reader.string("clientId", flexible)?;
    let client_host = reader.string("clientHost", flexible)?;
    let rebalance_timeout_ms = if version >= 1 {
        reader.int32("rebalanceTimeout")?
    } else {
        -1
    };
    let session_timeout_ms = reader.int32("sessionTimeout")?;
    let subscription = reader.bytes("subscription", flexible)?;
    let assignment = reader.bytes("assignment", flexible)?;
    if flexible {
        reader.tagged_fields()?;
    }
    Ok(GroupMetadataMember {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: if rebalance_timeout_ms == -1 {
            session_timeout_ms
        } else {
            rebalance_timeout_ms
        },
        session_timeout_ms,
        subscription,
        assignment,
    })
}

fn offset_commit_key(group_id: &str, topic: &str, partition: i32) -> Vec<u8> {
    let mut key = Vec::with_capacity(10 + group_id.len() + topic.len());
    put_int16(&mut key, i16::from(OFFSET_COMMIT_KEY_VERSION));
    put_string(&mut key, group_id);
    put_string(&mut key, topic);
    put_int32(&mut key, partition);
    key
}

fn group_metadata_key(group_id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + group_id.len());
    put_int16(&mut key, GROUP_METADATA_KEY_VERSION);
    put_string(&mut key, group_id);
    key
}

pub(super) fn offset_commit(
    group_id: &str,
    topic: &str,
    partition: i32,
    value: &OffsetCommitValue,
) -> CoordinatorRecord {
    let mut out = Vec::with_capacity(32 + value.metadata.len());
    match value.expire_timestamp_ms {
        None => {
            put_int16(&mut out, VALUE_VERSION);
            put_int64(&mut out, value.offset);
            put_int32(&mut out, value.leader_epoch);
            put_string(&mut out, &value.metadata);
            put_int64(&mut out, value.commit_timestamp_ms);
        }
        Some(expire_timestamp_ms) => {
            put_int16(&mut out, VALUE_VERSION_WITH_EXPIRY);
            put_int64(&mut out, value.offset);
            put_string(&mut out, &value.metadata);
            put_int64(&mut out, value.commit_timestamp_ms);
            put_int64(&mut out, expire_timestamp_ms);
        }
    }
    CoordinatorRecord {
        key: offset_commit_key(group_id, topic, partition),
        value: Some(out),
    }
}

pub(super) fn offset_tombstone(group_id: &str, topic: &str, partition: i32) -> CoordinatorRecord {
    CoordinatorRecord {
        key: offset_commit_key(group_id, topic, partition),
        value: None,
    }
}

pub(super) fn group_metadata(group_id: &str, value: &GroupMetadataValue) -> CoordinatorRecord {
    let mut out = Vec::with_capacity(64 + value.members.len() * 256);
    put_int16(&mut out, VALUE_VERSION);
    put_string(&mut out, &value.protocol_type);
    put_int32(&mut out, value.generation_id);
    put_nullable_string(&mut out, value.protocol.as_deref());
    put_nullable_string(&mut out, value.leader.as_deref());
    put_int64(&mut out, value.current_state_timestamp_ms.unwrap_or(-1));
    put_length(&mut out, value.members.len());
    for member in &value.members {
        put_string(&mut out, &member.member_id);
        put_nullable_string(&mut out, member.group_instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        put_int32(&mut out, member.rebalance_timeout_ms);
        put_int32(&mut out, member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    CoordinatorRecord {
        key: group_metadata_key(group_id),
        value: Some(out),
    }
}

pub(super) fn group_tombstone(group_id: &str) -> CoordinatorRecord {
    CoordinatorRecord {
        key: group_metadata_key(group_id),
        value: None,
    }
}
