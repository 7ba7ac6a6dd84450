//! What the broker knows, as samples. No lock of its own; each subject is asked once.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_broker::coordinator::group_view;
use lastword_broker::partition::CountBudget;
use lastword_broker::{Broker, TrafficCounts};
use lastword_storage::cleaner::{CleanerOverview, DeleteHorizon, LogStatus, ReasonCode};

use super::family::*;
use super::process::process;
use super::scrape::Scrape;
use crate::shared::Shared;

const LISTENER: &str = "PLAINTEXT";
/// What counting records may take of a scrape; what was counted is kept for the next one.
const COUNTING: Duration = Duration::from_millis(100);

pub(super) fn gather(shared: &Shared, broker: &Broker) -> Scrape {
    let mut scrape = Scrape::default();
    let build = [
        env!("CARGO_PKG_VERSION"),
        env!("LASTWORD_REVISION"),
        env!("LASTWORD_RUSTC"),
    ];
    scrape.add(BUILD_INFO, &build, 1.0);
    let started_ms = broker.clock.now_ms() as f64 - shared.uptime().as_secs_f64() * 1e3;
    scrape.add(START_TIME, &[], started_ms / 1e3);
    let budget = CountBudget::new(COUNTING);
    partitions(&mut scrape, broker, budget);
    compaction(&mut scrape, broker);
    clients(&mut scrape, broker);
    groups(&mut scrape, broker, budget);
    disk(&mut scrape, broker);
    process(&mut scrape);
    scrape
}

fn partitions(scrape: &mut Scrape, broker: &Broker, budget: CountBudget) {
    let mut all = broker.partitions.all();
    all.sort_by(|a, b| a.topic_partition().cmp(b.topic_partition()));
    let is_aggregated = all.len() > limit(broker);
    scrape.add(METRICS_AGGREGATED, &[], f64::from(u8::from(is_aggregated)));
    let left_out = if is_aggregated { all.len() } else { 0 };
    scrape.add(METRICS_LEFT_OUT, &[], left_out as f64);
    let mut index_bytes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut traffic: BTreeMap<&str, TrafficCounts> = BTreeMap::new();
    for partition in &all {
        let id = partition.topic_partition();
        let counts = partition.traffic().counts();
        let sum = traffic.entry(&id.topic).or_default();
        sum.produced_bytes += counts.produced_bytes;
        sum.produced_records += counts.produced_records;
        sum.produced_batches += counts.produced_batches;
        sum.fetched_bytes += counts.fetched_bytes;
        let segments = partition.log().segments();
        let indexed: u64 = segments.iter().map(|it| it.key_index_bytes()).sum();
        if indexed > 0 {
            *index_bytes.entry(&id.topic).or_default() += indexed;
        }
        if is_aggregated {
            continue;
        }
        let number = id.partition.to_string();
        let labels: &[&str] = &[&id.topic, &number];
        let offsets = partition.offsets();
        for (family, value) in [
            (PARTITION_START_OFFSET, offsets.log_start_offset),
            (PARTITION_END_OFFSET, offsets.log_end_offset),
            (PARTITION_HIGH_WATERMARK, offsets.high_watermark),
            (PARTITION_LAST_STABLE_OFFSET, offsets.last_stable_offset),
        ] {
            scrape.add(family, labels, value as f64);
        }
        scrape.add(PARTITION_SIZE, labels, partition.size_bytes() as f64);
        if let Ok(Some(records)) = partition.records(budget) {
            scrape.add(PARTITION_RECORDS, labels, records as f64);
        }
        scrape.add(PARTITION_SEGMENTS, labels, segments.iter().count() as f64);
    }
    for (topic, bytes) in index_bytes {
        scrape.add(KEYINDEX_BYTES, &[topic], bytes as f64);
    }
    for (topic, counts) in traffic {
        for (family, value) in [
            (PRODUCED_BYTES, counts.produced_bytes),
            (PRODUCED_RECORDS, counts.produced_records),
            (PRODUCED_BATCHES, counts.produced_batches),
            (FETCHED_BYTES, counts.fetched_bytes),
        ] {
            scrape.add(family, &[topic], value as f64);
        }
    }
}

fn compaction(scrape: &mut Scrape, broker: &Broker) {
    let statuses = broker.cleaner.status();
    let has_series = broker.partitions.all().len() <= limit(broker);
    for status in statuses.iter().filter(|status| status.bounds.is_some()) {
        let number = status.topic_partition.partition.to_string();
        let labels: &[&str] = &[&status.topic_partition.topic, &number];
        let code = status.reason.code();
        if code.is_stuck() {
            scrape.add(COMPACTION_STUCK, &[labels, &[code.word()]].concat(), 1.0);
        }
        if has_series {
            compacted_partition(scrape, status, labels);
            ages(scrape, broker, status, labels);
        }
    }
    for code in ReasonCode::ALL {
        let same = statuses
            .iter()
            .filter(|status| status.reason.code() == code);
        scrape.add(COMPACTION_STATE, &[code.word()], same.count() as f64);
    }
    let stats = broker.logs.stats();
    for (phase, histogram) in [
        ("index", &stats.index_builds),
        ("plan", &stats.plans),
        ("rewrite", &stats.rewrites),
    ] {
        scrape.add_histogram(COMPACTION_DURATION, &[phase], histogram.view());
    }
    for (reason, count) in [
        ("missing", stats.missing_indexes_built()),
        ("corrupt", stats.unusable_indexes_built()),
    ] {
        scrape.add(KEYINDEX_BUILDS, &[reason], count as f64);
    }
    let overview = broker.cleaner.overview();
    workers(scrape, &overview);
    kafkas_gauges(scrape, broker, &statuses, &overview);
}

fn compacted_partition(scrape: &mut Scrape, status: &LogStatus, labels: &[&str]) {
    let totals = &status.totals;
    for (result, count) in [
        ("ok", totals.ok),
        ("failed", totals.failed),
        ("aborted", totals.aborted),
    ] {
        scrape.add(COMPACTION_RUNS, &[labels, &[result]].concat(), count as f64);
    }
    for (family, value) in [
        (COMPACTION_READ, totals.bytes_read),
        (COMPACTION_WRITTEN, totals.bytes_written),
        (COMPACTION_REMOVED_BYTES, totals.bytes_removed),
        (COMPACTION_REMOVED_RECORDS, totals.records_removed),
        (TOMBSTONES_REMOVED, totals.tombstones_removed),
        (COMPACTION_DIRTY_BYTES, status.sizes.dirty_bytes),
        (COMPACTION_HEAD_BYTES, status.sizes.head_bytes()),
        (COMPACTION_TAIL_BYTES, status.sizes.tail_bytes),
        (
            COMPACTION_QUARANTINED,
            status.isolated_segments.len() as u64,
        ),
    ] {
        scrape.add(family, labels, value as f64);
    }
    if let Some(bounds) = &status.bounds {
        scrape.add(COMPACTION_DIRTY_RATIO, labels, bounds.dirty_ratio);
        let overdue_seconds = bounds.overdue_ms as f64 / 1e3;
        scrape.add(COMPACTION_OVERDUE, labels, overdue_seconds);
    }
    if let Some(counts) = &status.counts {
        for (family, value) in [
            (PARTITION_LIVE_KEYS, counts.live_keys),
            (COMPACTION_DEAD_BYTES, counts.dead_bytes),
            (COMPACTION_LIVE_BYTES, counts.live_bytes),
            (TOMBSTONES, counts.tombstones),
        ] {
            scrape.add(family, labels, value as f64);
        }
    }
    if let Some(stats) = &status.last_stats {
        let began = stats.started_ms as f64 / 1e3;
        scrape.add(COMPACTION_LAST_SUCCESS, labels, began);
        for (phase, ms) in [("plan", stats.plan_ms), ("rewrite", stats.rewrite_ms)] {
            let labels = [labels, &[phase]].concat();
            scrape.add(COMPACTION_LAST_DURATION, &labels, ms as f64 / 1e3);
        }
    }
}

/// What needs more than the cleaner's own numbers.
fn ages(scrape: &mut Scrape, broker: &Broker, status: &LogStatus, labels: &[&str]) {
    let now_ms = broker.clock.now_ms();
    let seconds_since = |ms: i64| now_ms.saturating_sub(ms).max(0) as f64 / 1e3;
    let id = &status.topic_partition;
    let partition = broker.partitions.get(&id.topic, id.partition);
    if let (Some(partition), Some(bounds)) = (partition, &status.bounds) {
        let segments = partition.log().segments();
        let sealed = segments.as_slice().split_last().map(|(_, sealed)| sealed);
        let dirty = sealed.unwrap_or_default().iter();
        let mut dirty = dirty.filter(|it| it.base_offset() >= bounds.first_dirty_offset);
        let oldest = dirty.find_map(|segment| segment.first_batch_timestamp());
        scrape.add(COMPACTION_LAG, labels, oldest.map_or(0.0, seconds_since));
        if let DeleteHorizon::At(horizon_ms) = status.horizon {
            let retention_ms = partition.log().config().delete_retention_ms;
            let seen_ms = horizon_ms.saturating_sub(retention_ms);
            scrape.add(TOMBSTONE_OLDEST_AGE, labels, seconds_since(seen_ms));
        }
    }
}

/// Most partitions, and most groups, that have series of their own.
fn limit(broker: &Broker) -> usize {
    broker.config.http.metrics_partition_limit
}

fn workers(scrape: &mut Scrape, overview: &CleanerOverview) {
    let configured = f64::from(overview.threads_configured);
    scrape.add(COMPACTION_WORKERS, &[], configured);
    let busy = overview.busy_with.len() as f64;
    scrape.add(COMPACTION_WORKERS_BUSY, &[], busy);
    scrape.add(COMPACTION_WORKERS_DEAD, &[], dead_threads(overview));
    scrape.add(COMPACTION_IO, &[], overview.throttled_bytes as f64);
    scrape.add(COMPACTION_IO_LIMIT, &[], overview.bytes_per_second);
    let throttled = overview.throttled.as_secs_f64();
    scrape.add(COMPACTION_THROTTLED, &[], throttled);
}

fn dead_threads(overview: &CleanerOverview) -> f64 {
    let wanted = match overview.is_enabled {
        true => overview.threads_configured as usize,
        false => 0,
    };
    wanted.saturating_sub(overview.threads_running) as f64
}

/// Of the last cleaning of each partition, where Kafka takes the last one of each thread.
fn kafkas_gauges(
    scrape: &mut Scrape,
    broker: &Broker,
    statuses: &[LogStatus],
    overview: &CleanerOverview,
) {
    let bounds = || statuses.iter().filter_map(|status| status.bounds);
    let last = || statuses.iter().filter_map(|status| status.last_stats);
    let max = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let read: u64 = last().map(|stats| stats.bytes_read).sum();
    let written: u64 = last().map(|stats| stats.bytes_written).sum();
    let recopied = match read {
        0 => 0.0,
        read => 100.0 * written as f64 / read as f64,
    };
    scrape.add(KAFKA_RECOPY, &[], recopied);
    let memory = overview.memory_bytes;
    let fullest = max(&mut last().map(|stats| stats.memory_bytes as f64));
    let utilization = (100.0 * fullest / memory.max(1) as f64).min(100.0);
    scrape.add(KAFKA_MAX_BUFFER_UTILIZATION, &[], utilization);
    let seconds = |ms: u64| ms as f64 / 1e3;
    let slowest = max(&mut last().map(|stats| seconds(stats.plan_ms + stats.rewrite_ms)));
    scrape.add(KAFKA_MAX_CLEAN_TIME, &[], slowest);
    let overdue = max(&mut bounds().map(|bounds| bounds.overdue_ms as f64 / 1e3));
    scrape.add(KAFKA_MAX_COMPACTION_DELAY, &[], overdue);
    scrape.add(KAFKA_DEAD_THREADS, &[], dead_threads(overview));
    let dirtiest = max(&mut bounds().map(|bounds| bounds.dirty_ratio));
    scrape.add(KAFKA_MAX_DIRTY, &[], 100.0 * dirtiest);
    if let Some(looked_ms) = overview.last_look_ms {
        let since_ms = broker.clock.now_ms().saturating_sub(looked_ms).max(0);
        scrape.add(KAFKA_SINCE_LAST_RUN, &[], since_ms as f64);
    }
    let log_dir: &[&str] = &[&broker.config.log_dir];
    let uncleanable = || {
        let code = |status: &&LogStatus| status.reason.code() == ReasonCode::Quarantined;
        statuses.iter().filter(code)
    };
    let bytes: u64 = uncleanable().map(|status| status.sizes.dirty_bytes).sum();
    let count = uncleanable().count();
    scrape.add(COMPACTION_UNCLEANABLE, log_dir, count as f64);
    scrape.add(COMPACTION_UNCLEANABLE_BYTES, log_dir, bytes as f64);
    scrape.add(KAFKA_UNCLEANABLE, log_dir, count as f64);
    scrape.add(KAFKA_UNCLEANABLE_BYTES, log_dir, bytes as f64);
}

fn clients(scrape: &mut Scrape, broker: &Broker) {
    let stats = &broker.stats;
    for (api, count) in stats.requests() {
        scrape.add(KAFKA_REQUESTS, &[api.name()], count as f64);
    }
    for (api, view) in stats.durations() {
        scrape.add_histogram(KAFKA_REQUEST_DURATION, &[api.name()], view);
    }
    for (api, error, count) in stats.errors() {
        scrape.add(KAFKA_REQUEST_ERRORS, &[api.name(), error], count as f64);
    }
    scrape.add_histogram(FETCH_READ_DURATION, &[], stats.fetch_reads());
    for (result, view) in stats.lookups() {
        scrape.add(GET_REQUESTS, &[result.word()], view.count() as f64);
        scrape.add_histogram(GET_DURATION, &[result.word()], view);
    }
    for (family, value) in [
        (CONNECTIONS, stats.connections()),
        (CONNECTIONS_OPENED, stats.connections_opened()),
        (CONNECTIONS_REFUSED, stats.connections_refused()),
    ] {
        scrape.add(family, &[LISTENER], value as f64);
    }
}

fn groups(scrape: &mut Scrape, broker: &Broker, budget: CountBudget) {
    // Absent while they are being loaded: half of them would look like a loss.
    let Ok((groups, states)) = group_view::describe_first(broker, limit(broker)) else {
        return;
    };
    for (state, count) in states {
        scrape.add(GROUPS, &[state], count as f64);
    }
    for view in groups {
        let group_id = &*view.summary.group_id;
        let members = view.members.len() as f64;
        scrape.add(GROUP_MEMBERS, &[group_id], members);
        let mut lags: BTreeMap<&str, (i64, Option<u64>)> = BTreeMap::new();
        for committed in &view.offsets {
            let partition = broker.partitions.get(&committed.topic, committed.partition);
            let (Some(lag), Some(partition)) = (committed.lag(), partition) else {
                continue;
            };
            let records = partition.records_from(committed.offset, budget);
            let sums = lags.entry(&committed.topic).or_insert((0, Some(0)));
            sums.0 = sums.0.saturating_add(lag);
            sums.1 = sums.1.zip(records.ok().flatten()).map(|(a, b)| a + b);
        }
        for (topic, (lag, records)) in lags {
            scrape.add(GROUP_LAG, &[group_id, topic], lag as f64);
            if let Some(records) = records {
                scrape.add(GROUP_LAG_RECORDS, &[group_id, topic], records as f64);
            }
        }
    }
}

fn disk(scrape: &mut Scrape, broker: &Broker) {
    let log_dir: &[&str] = &[&broker.config.log_dir];
    let dir = broker.logs.dir();
    for (family, bytes) in [
        (DISK_FREE, dir.free_bytes()),
        (DISK_TOTAL, dir.total_bytes()),
    ] {
        if let Ok(bytes) = bytes {
            scrape.add(family, log_dir, bytes as f64);
        }
    }
    let syncs = broker.logs.stats().syncs.view();
    scrape.add_histogram(FSYNC_DURATION, log_dir, syncs);
    let is_offline = broker.logs.is_offline().is_some();
    scrape.add(LOG_DIR_OFFLINE, log_dir, f64::from(u8::from(is_offline)));
    let failed = broker.logs.failed().len();
    scrape.add(PARTITIONS_FAILED, log_dir, failed as f64);
}
