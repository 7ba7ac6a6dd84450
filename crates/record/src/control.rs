//! Control records: the markers that end a transaction, and the kinds that only Kafka's metadata
//! log uses. A control batch holds one record and has the control bit.
//!
//! Key: int16 version, int16 type. Value of an end marker: int16 version, int32 coordinatorEpoch.
//! Versions above 0 are read as 0, as Kafka does; unknown types are kept, never refused.

use crate::{BatchBuilder, BatchSpec, RecordError};

const VERSION: i16 = 0;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
    Unknown(i16),
}

impl ControlRecordType {
    /// Reads the key of a control record.
    pub fn parse(key: &[u8]) -> Result<ControlRecordType, RecordError> {
        let Some(&[version_high, version_low, type_high, type_low]) = key.first_chunk::<4>() else {
            return Err(RecordError::InvalidRecord {
                reason: "control record key too short",
            });
        };
        if i16::from_be_bytes([version_high, version_low]) < VERSION {
            return Err(RecordError::InvalidRecord {
                reason: "negative control record version",
            });
        }
        Ok(ControlRecordType::from_id(i16::from_be_bytes([
            type_high, type_low,
        ])))
    }

    fn from_id(id: i16) -> ControlRecordType {
        match id {
            0 => ControlRecordType::Abort,
            1 => ControlRecordType::Commit,
            2 => ControlRecordType::LeaderChange,
            3 => ControlRecordType::SnapshotHeader,
            4 => ControlRecordType::SnapshotFooter,
            5 => ControlRecordType::KRaftVersion,
            6 => ControlRecordType::KRaftVoters,
            other => ControlRecordType::Unknown(other),
        }
    }

    /// The number on disk.
    pub fn id(self) -> i16 {
        match self {
            ControlRecordType::Abort => 0,
            ControlRecordType::Commit => 1,
            ControlRecordType::LeaderChange => 2,
            ControlRecordType::SnapshotHeader => 3,
            ControlRecordType::SnapshotFooter => 4,
            ControlRecordType::KRaftVersion => 5,
            ControlRecordType::KRaftVoters => 6,
            ControlRecordType::Unknown(id) => id,
        }
    }

    /// The key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let [version_high, version_low] = VERSION.to_be_bytes();
        let [type_high, type_low] = self.id().to_be_bytes();
        [version_high, version_low, type_high, type_low]
    }
}

/// Reads the value of a COMMIT or ABORT marker: the epoch of the coordinator that wrote it.
pub fn coordinator_epoch(value: &[u8]) -> Result<i32, RecordError> {
    let Some(&[version_high, version_low, a, b, c, d]) = value.first_chunk::<6>() else {
        return Err(RecordError::InvalidRecord {
            reason: "end transaction marker too short",
        });
    };
    if i16::from_be_bytes([version_high, version_low]) < VERSION {
        return Err(RecordError::InvalidRecord {
            reason: "negative end transaction version",
        });
    }
    Ok(i32::from_be_bytes([a, b, c, d]))
}

/// A COMMIT or ABORT marker to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// COMMIT, else ABORT.
    pub is_commit: bool,
    /// Offset of the marker.
    pub base_offset: i64,
    /// When the transaction ended.
    pub timestamp: i64,
    pub leader_epoch: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
}

/// The batch of a marker: transactional, control, one record, no sequence.
pub fn end_txn_marker(marker: &EndTxnMarker) -> Result<Vec<u8>, RecordError> {
    let control_type = if marker.is_commit {
        ControlRecordType::Commit
    } else {
        ControlRecordType::Abort
    };
    let mut value = [0; 6];
    value[..2].copy_from_slice(&VERSION.to_be_bytes());
    value[2..].copy_from_slice(&marker.coordinator_epoch.to_be_bytes());

    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: marker.base_offset,
        leader_epoch: marker.leader_epoch,
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        is_transactional: true,
        is_control: true,
        ..BatchSpec::default()
    });
    let key = control_type.key();
    builder.push(
        marker.base_offset,
        marker.timestamp,
        Some(&key),
        Some(&value),
        &[],
    );
    let mut batch = Vec::new();
    builder.finish(&mut batch)?;
    Ok(batch)
}
