//! What a cleaning would remove, as JSON: segment by segment, those that no cleaning may touch yet included.

use lastword_storage::Log;
use lastword_storage::cleaner::{DryRun, Limit, LogStatus};
use serde::Serialize;

use super::SCHEMA_VERSION;
use super::status::Dead;

/// One partition.
#[derive(Serialize)]
pub struct Plan {
    schema_version: u32,
    topic: String,
    partition: i32,
    now_ms: i64,
    /// Why nobody does it by himself now.
    reason: &'static str,
    why: String,
    log_start_offset: i64,
    first_dirty_offset: i64,
    /// Nothing at or above it is cleaned,
    first_uncleanable_offset: i64,
    /// because of this: `active`, `lso` or `lag`.
    limit: &'static str,
    log_end_offset: i64,
    /// Below the first uncleanable offset.
    before: Size,
    after: Size,
    dead: Dead,
    dead_bytes: u64,
    live_keys: u64,
    tombstones: u64,
    tombstones_until_ms: Option<i64>,
    segments: Vec<Segment>,
}

/// Afterwards the bytes are an estimate where batches are compressed.
#[derive(Serialize)]
struct Size {
    records: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Segment {
    base_offset: i64,
    /// Exclusive.
    end_offset: i64,
    bytes: u64,
    /// `tail`, `dirty`, `waiting` or `active`.
    section: &'static str,
    /// Not known of what no cleaning may touch yet, and so for what follows.
    live_bytes: Option<u64>,
    records: Option<u64>,
    dead_records: Option<u64>,
    tombstones: Option<u64>,
    /// It would not stay as it is.
    is_changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl Plan {
    /// What is shown of a dry run.
    pub fn new(log: &Log, dry_run: DryRun, status: &LogStatus, now_ms: i64) -> Plan {
        let bounds = dry_run.bounds;
        let offsets = log.offsets();
        let bytes = dry_run.segments.iter().map(|segment| segment.size_bytes);
        let before = Size {
            records: dry_run.records,
            bytes: bytes.sum(),
        };
        let after = Size {
            records: dry_run.records.saturating_sub(dry_run.dead.total()),
            bytes: dry_run.live_bytes,
        };
        let first_dirty_offset = bounds.first_dirty_offset;
        let planned = dry_run.segments.into_iter().map(|segment| Segment {
            base_offset: segment.base_offset,
            end_offset: segment.end_offset,
            bytes: segment.size_bytes,
            section: match segment.base_offset < first_dirty_offset {
                true => "tail",
                false => "dirty",
            },
            live_bytes: Some(segment.live_bytes),
            records: Some(segment.records),
            dead_records: Some(segment.dead_records),
            tombstones: Some(segment.tombstones),
            is_changed: segment.is_changed,
            damage: segment.damage,
        });
        let mut segments: Vec<Segment> = planned.collect();
        let end_offset = bounds.first_uncleanable_offset;
        let all = log.segments();
        let rest = all.iter().filter(|it| it.base_offset() >= end_offset);
        segments.extend(rest.map(|segment| Segment {
            base_offset: segment.base_offset(),
            end_offset: segment.next_offset(),
            bytes: segment.size_bytes().into(),
            section: "waiting",
            live_bytes: None,
            records: None,
            dead_records: None,
            tombstones: None,
            is_changed: false,
            damage: None,
        }));
        if let Some(active) = segments.last_mut() {
            active.section = "active";
        }
        Plan {
            schema_version: SCHEMA_VERSION,
            topic: log.topic_partition().topic.to_string(),
            partition: log.topic_partition().partition,
            now_ms,
            reason: status.reason.code().word(),
            why: status.reason.sentence(now_ms),
            log_start_offset: offsets.log_start_offset,
            first_dirty_offset,
            first_uncleanable_offset: end_offset,
            limit: match bounds.limit {
                Limit::ActiveSegment => "active",
                Limit::LastStableOffset => "lso",
                Limit::MinCompactionLag { .. } => "lag",
            },
            log_end_offset: offsets.log_end_offset,
            before,
            after,
            dead: dry_run.dead.into(),
            dead_bytes: dry_run.dead_bytes,
            live_keys: dry_run.live_keys,
            tombstones: dry_run.tombstones,
            tombstones_until_ms: match status.horizon {
                lastword_storage::cleaner::DeleteHorizon::At(ms) => Some(ms),
                _ => None,
            },
            segments,
        }
    }
}
