//! What members of the classic protocol say inside the bytes that the coordinator else only passes
//! on: ConsumerProtocolSubscription and ConsumerProtocolAssignment, versions 0 to 3.
//!
//! ```text
//! subscription  int16 version  array string topics  nullable bytes userData
//!               v1+ array (string topic, array int32 partitions) owned  v2+ int32 generation
//!               v3+ nullable string rack
//! assignment    int16 version  array (string topic, array int32 partitions)  nullable bytes userData
//! ```
//! A later version has one of these in front; what follows is not read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::record::Partitions;
use super::topics::MetadataView;
use crate::codec::{Reader, put_int16, put_int32, put_length, put_string};
use crate::error::CoordinatorError;

/// The newest version that is written.
const NEWEST_VERSION: i16 = 3;

/// Partitions by the name of their topic.
type Named = BTreeMap<String, BTreeSet<i32>>;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) version: i16,
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: Named,
    pub(super) rack_id: Option<String>,
}

pub(super) fn read_subscription(bytes: &[u8]) -> Result<Subscription, CoordinatorError> {
    let mut reader = Reader::new("ConsumerProtocolSubscription", bytes);
    let mut subscription = Subscription {
        version: version(&mut reader)?,
        ..Subscription::default()
    };
    for _ in 0..reader.array_length("topics", false)? {
        subscription.topics.insert(reader.string("topics", false)?);
    }
    reader.nullable_bytes("userData")?;
    if subscription.version >= 1 {
        subscription.owned = named_partitions(&mut reader)?;
    }
    if subscription.version >= 2 {
        reader.int32("generationId")?;
    }
    if subscription.version >= 3 {
        let rack_id = reader.nullable_string("rackId", false)?;
        subscription.rack_id = rack_id.filter(|rack_id| !rack_id.is_empty());
    }
    Ok(subscription)
}

/// The partitions of an assignment, and whether a custom assignor has put something beside them.
pub(super) fn read_assignment(bytes: &[u8]) -> Result<(Named, bool), CoordinatorError> {
    let mut reader = Reader::new("ConsumerProtocolAssignment", bytes);
    version(&mut reader)?;
    let partitions = named_partitions(&mut reader)?;
    let user_data = reader.nullable_bytes("userData")?;
    Ok((partitions, user_data.is_some_and(|bytes| !bytes.is_empty())))
}

fn version(reader: &mut Reader<'_>) -> Result<i16, CoordinatorError> {
    let version = reader.int16("version")?;
    if version < 0 {
        return Err(reader.malformed("version"));
    }
    Ok(version)
}

fn named_partitions(reader: &mut Reader<'_>) -> Result<Named, CoordinatorError> {
    let mut named = Named::new();
    for _ in 0..reader.array_length("partitions", false)? {
        let topic = named.entry(reader.string("topic", false)?).or_default();
        for _ in 0..reader.array_length("partitions", false)? {
            topic.insert(reader.int32("partitions")?);
        }
    }
    Ok(named)
}

/// An assignment for a member that speaks this version. Topics that are gone are left out.
pub(super) fn write_assignment(
    version: i16,
    partitions: &Partitions,
    view: &MetadataView,
) -> Bytes {
    let mut out = Vec::new();
    put_int16(&mut out, version.min(NEWEST_VERSION));
    let topics: Vec<_> = partitions
        .iter()
        .filter_map(|(id, partitions)| Some((view.topic_by_id(*id)?, partitions)))
        .collect();
    put_length(&mut out, topics.len());
    for (topic, partitions) in topics {
        put_string(&mut out, &topic.name);
        put_length(&mut out, partitions.len());
        partitions
            .iter()
            .for_each(|each| put_int32(&mut out, *each));
    }
    put_int32(&mut out, -1);
    Bytes::from(out)
}

/// Partitions of topics that exist, by id.
pub(super) fn identify(named: &Named, view: &MetadataView) -> Partitions {
    named
        .iter()
        .filter(|(_, partitions)| !partitions.is_empty())
        .filter_map(|(name, partitions)| Some((view.topic(name)?.id, partitions.clone())))
        .collect()
}
