//! One record of Kafka's metadata log, as far as topics and configs need it.
//!
//! ```text
//! unsigned varint  frame version, 1
//! unsigned varint  type            2 topic, 3 partition, 4 config, 9 topic removed,
//! unsigned varint  version         23 transaction begins, 24 ends, 25 is aborted
//! topic            compact string name, 16 bytes id
//! partition        int32 number, 16 bytes topic id, then what is not asked for
//! config           int8 resource type (2 topic, 4 broker), compact strings resource and name, compact nullable value
//! topic removed    16 bytes id
//! ```
//! A compact string is its length + 1 as an unsigned varint, then UTF-8; 0 is null. Tagged fields end every record and
//! are not looked at. Pure: nothing is copied, no byte panics.

use lastword_record::TopicId;

const FRAME_VERSION: u32 = 1;
const RESOURCE_TOPIC: u8 = 2;
const RESOURCE_BROKER: u8 = 4;

/// A record that says something about topics and configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataRecord<'a> {
    Topic {
        name: &'a str,
        id: TopicId,
    },
    Partition {
        topic: TopicId,
        number: i32,
    },
    RemoveTopic {
        id: TopicId,
    },
    TopicConfig {
        topic: &'a str,
        name: &'a str,
        value: Option<&'a str>,
    },
    BrokerConfig {
        /// The node's id; empty for the whole cluster.
        node: &'a str,
        name: &'a str,
        value: Option<&'a str>,
    },
    BeginTransaction,
    EndTransaction,
    AbortTransaction,
    /// Of another kind.
    Other,
}

impl<'a> MetadataRecord<'a> {
    /// Reads a record's value; else why it cannot be read.
    pub fn parse(value: &'a [u8]) -> Result<MetadataRecord<'a>, String> {
        let mut fields = Fields { rest: value };
        let cut = || "it is cut short or malformed".to_owned();
        let frame_version = fields.unsigned_varint().ok_or_else(cut)?;
        if frame_version != FRAME_VERSION {
            return Err(format!("frame version {frame_version} is not known"));
        }
        let kind = fields.unsigned_varint().ok_or_else(cut)?;
        let version = fields.unsigned_varint().ok_or_else(cut)?;
        if matches!(kind, 2 | 4 | 9) && version != 0 {
            return Err(format!(
                "version {version} of type {kind} is not known: a newer Kafka wrote it"
            ));
        }
        fields.body(kind).ok_or_else(cut)
    }
}

/// What is left of a record.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn body(&mut self, kind: u32) -> Option<MetadataRecord<'a>> {
        Some(match kind {
            2 => MetadataRecord::Topic {
                name: self.string()??,
                id: self.id()?,
            },
            3 => MetadataRecord::Partition {
                number: i32::from_be_bytes(self.array()?),
                topic: self.id()?,
            },
            4 => {
                let [resource_type] = self.array()?;
                let resource = self.string()??;
                let name = self.string()??;
                let value = self.string()?;
                match resource_type {
                    RESOURCE_TOPIC => MetadataRecord::TopicConfig {
                        topic: resource,
                        name,
                        value,
                    },
                    RESOURCE_BROKER => MetadataRecord::BrokerConfig {
                        node: resource,
                        name,
                        value,
                    },
                    _ => MetadataRecord::Other,
                }
            }
            9 => MetadataRecord::RemoveTopic { id: self.id()? },
            23 => MetadataRecord::BeginTransaction,
            24 => MetadataRecord::EndTransaction,
            25 => MetadataRecord::AbortTransaction,
            _ => MetadataRecord::Other,
        })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn id(&mut self) -> Option<TopicId> {
        self.array().map(TopicId)
    }

    /// At most 32 bits.
    fn unsigned_varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                return None;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A compact nullable string.
    fn string(&mut self) -> Option<Option<&'a str>> {
        let Some(length) = self.unsigned_varint()?.checked_sub(1) else {
            return Some(None);
        };
        let (bytes, rest) = self.rest.split_at_checked(length as usize)?;
        self.rest = rest;
        std::str::from_utf8(bytes).ok().map(Some)
    }
}
