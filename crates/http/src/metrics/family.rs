//! Every metric: its name, type, labels and help. `docs/metrics.md` has this table, and a test holds the two together.
//!
//! Names follow Prometheus' guide: prefix, base units, `_total` on counters. Partitions are labelled by topic and number;
//! never is a key, a client or a member of a group a label. The nine `kafka_log_*` gauges are those of Kafka's cleaner
//! under the names that the usual rule of jmx_exporter gives them, so that dashboards and alerts that are there go on.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up, from 0 at each start.
    Counter,
    /// Durations by bucket, counted from 0 at each start.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Family {
    /// As it is scraped.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
}

/// Writes the constants and the list of all from one table, so that none is left out.
macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &Family = &Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// Every metric, in the order of the answer.
        pub const ALL: &[&Family] = &[$($constant),*];
    };
}

families! {
    BUILD_INFO = Gauge "lastword_build_info" ["version", "revision", "rustc"]
        "1, with the version of the broker, its commit and its compiler";
    START_TIME = Gauge "lastword_start_time_seconds" []
        "When the broker began to listen for HTTP, in seconds of Unix time";
    METRICS_AGGREGATED = Gauge "lastword_metrics_aggregated" []
        "1 while there are more partitions than lastword.metrics.partition.limit: then series of single partitions are left out, but for lastword_compaction_stuck";

    PARTITION_START_OFFSET = Gauge "lastword_partition_start_offset" ["topic", "partition"]
        "The first offset that may be read";
    PARTITION_END_OFFSET = Gauge "lastword_partition_end_offset" ["topic", "partition"]
        "The offset of the next record (LogEndOffset)";
    PARTITION_HIGH_WATERMARK = Gauge "lastword_partition_high_watermark" ["topic", "partition"]
        "The first offset that is not on disk yet (HighWatermark)";
    PARTITION_LAST_STABLE_OFFSET = Gauge "lastword_partition_last_stable_offset" ["topic", "partition"]
        "The first offset of an undecided transaction, or the HighWatermark";
    PARTITION_SIZE = Gauge "lastword_partition_size_bytes" ["topic", "partition"]
        "Bytes of the segments";
    PARTITION_SEGMENTS = Gauge "lastword_partition_segments" ["topic", "partition"]
        "Segments, the active one included";
    PARTITION_RECORDS = Gauge "lastword_partition_records" ["topic", "partition"]
        "Records that exist below the HighWatermark; absent while they are being counted for the first time";
    METRICS_LEFT_OUT = Gauge "lastword_metrics_partitions_left_out" []
        "Partitions that have no series of their own now, because there are more than lastword.metrics.partition.limit";
    PARTITION_LIVE_KEYS = Gauge "lastword_partition_live_keys" ["topic", "partition"]
        "Keys whose last word has a value, below the end of the last plan or cleaning";

    PRODUCED_BYTES = Counter "lastword_produced_bytes_total" ["topic"]
        "Bytes of batches that producers appended";
    PRODUCED_RECORDS = Counter "lastword_produced_records_total" ["topic"]
        "Offsets that batches of producers took";
    PRODUCED_BATCHES = Counter "lastword_produced_batches_total" ["topic"]
        "Batches that producers appended";
    FETCHED_BYTES = Counter "lastword_fetched_bytes_total" ["topic"]
        "Bytes of records that fetches were answered with";

    COMPACTION_RUNS = Counter "lastword_compaction_runs_total" ["topic", "partition", "result"]
        "Cleanings that ended: ok, failed, or aborted by a pause or a stop";
    COMPACTION_READ = Counter "lastword_compaction_read_bytes_total" ["topic", "partition"]
        "Bytes of log that cleanings read, to index and to rewrite them";
    COMPACTION_WRITTEN = Counter "lastword_compaction_written_bytes_total" ["topic", "partition"]
        "Bytes of log that cleanings wrote";
    COMPACTION_REMOVED_BYTES = Counter "lastword_compaction_removed_bytes_total" ["topic", "partition"]
        "Bytes by which cleanings made the log smaller";
    COMPACTION_REMOVED_RECORDS = Counter "lastword_compaction_removed_records_total" ["topic", "partition"]
        "Records that cleanings removed";
    TOMBSTONES_REMOVED = Counter "lastword_tombstones_removed_total" ["topic", "partition"]
        "Tombstones that cleanings removed";
    COMPACTION_DIRTY_RATIO = Gauge "lastword_compaction_dirty_ratio" ["topic", "partition"]
        "Share of dirty bytes in what may be cleaned, 0 to 1";
    COMPACTION_DIRTY_BYTES = Gauge "lastword_compaction_dirty_bytes" ["topic", "partition"]
        "Bytes that a cleaning would take now";
    COMPACTION_HEAD_BYTES = Gauge "lastword_compaction_head_bytes" ["topic", "partition"]
        "Bytes at or above the first dirty offset, the active segment included";
    COMPACTION_TAIL_BYTES = Gauge "lastword_compaction_tail_bytes" ["topic", "partition"]
        "Bytes below the first dirty offset: what was cleaned";
    COMPACTION_DEAD_BYTES = Gauge "lastword_compaction_dead_bytes" ["topic", "partition"]
        "Bytes of dead records, uncompressed, as the last plan or cleaning counted them";
    COMPACTION_LIVE_BYTES = Gauge "lastword_compaction_live_bytes" ["topic", "partition"]
        "Bytes that a cleaning would leave, as the last plan or cleaning counted them";
    TOMBSTONES = Gauge "lastword_tombstones" ["topic", "partition"]
        "Tombstones that are the last word on their key, as the last plan or cleaning counted them";
    COMPACTION_OVERDUE = Gauge "lastword_compaction_overdue_seconds" ["topic", "partition"]
        "By how much the oldest dirty segment is beyond max.compaction.lag.ms";
    COMPACTION_LAST_SUCCESS = Gauge "lastword_compaction_last_success_timestamp_seconds" ["topic", "partition"]
        "When the last good cleaning began, in seconds of Unix time; absent before the first one of this start";
    COMPACTION_LAST_DURATION = Gauge "lastword_compaction_last_duration_seconds" ["topic", "partition", "phase"]
        "How long the last good cleaning took to plan and to rewrite";
    COMPACTION_DURATION = Histogram "lastword_compaction_duration_seconds" ["phase"]
        "How long steps of cleanings took: index is building one key index, plan and rewrite are of whole cleanings";
    COMPACTION_LAG = Gauge "lastword_compaction_lag_seconds" ["topic", "partition"]
        "Age of the oldest sealed segment that was not cleaned, by the timestamp of its first batch; 0 when all are clean";
    TOMBSTONE_OLDEST_AGE = Gauge "lastword_tombstone_oldest_age_seconds" ["topic", "partition"]
        "How long ago a cleaning first saw the oldest tombstone or marker that waits to go; absent when none does";
    COMPACTION_QUARANTINED = Gauge "lastword_compaction_quarantined_segments" ["topic", "partition"]
        "Damaged segments that the last cleaning left as they are";
    COMPACTION_STATE = Gauge "lastword_compaction_state_partitions" ["reason"]
        "Partitions by the reason why they are not being cleaned now; every reason is always there";
    COMPACTION_STUCK = Gauge "lastword_compaction_stuck" ["topic", "partition", "reason"]
        "1 for each partition whose reason does not pass by waiting";
    COMPACTION_UNCLEANABLE = Gauge "lastword_compaction_uncleanable_partitions" ["log_dir"]
        "Partitions whose last cleaning failed or met damage";
    COMPACTION_UNCLEANABLE_BYTES = Gauge "lastword_compaction_uncleanable_bytes" ["log_dir"]
        "Dirty bytes of those partitions";
    COMPACTION_WORKERS = Gauge "lastword_compaction_workers" []
        "Cleaner threads that are configured";
    COMPACTION_WORKERS_BUSY = Gauge "lastword_compaction_workers_busy" []
        "Partitions that are being cleaned or planned";
    COMPACTION_WORKERS_DEAD = Gauge "lastword_compaction_workers_dead" []
        "Cleaner threads that are configured and do not run";
    COMPACTION_IO = Counter "lastword_compaction_io_bytes_total" []
        "Bytes that the cleaner read and wrote, indexes included";
    COMPACTION_IO_LIMIT = Gauge "lastword_compaction_io_limit_bytes_per_second" []
        "What the cleaner may read and write now; +Inf for no limit";

    COMPACTION_THROTTLED = Counter "lastword_compaction_throttled_seconds_total" []
        "How long cleanings waited for their share of the disk, all together";
    KEYINDEX_BYTES = Gauge "lastword_keyindex_bytes" ["topic"]
        "Bytes of key indexes";
    KEYINDEX_BUILDS = Counter "lastword_keyindex_builds_total" ["reason"]
        "Key indexes built: missing is the first of a segment, corrupt replaces one that could not be used";

    GET_REQUESTS = Counter "lastword_get_requests_total" ["result"]
        "Lookups by key: hit, miss, or tombstone";
    GET_DURATION = Histogram "lastword_get_duration_seconds" ["result"]
        "How long lookups by key took";
    FSYNC_DURATION = Histogram "lastword_fsync_duration_seconds" ["log_dir"]
        "How long group commits took; one makes every batch durable that waits";

    KAFKA_REQUESTS = Counter "lastword_kafka_requests_total" ["api"]
        "Requests of Kafka clients that were passed to a handler";
    KAFKA_REQUEST_DURATION = Histogram "lastword_kafka_request_duration_seconds" ["api"]
        "From the request's decoding until its response is ready; a fetch that waits for records, and a join, wait in it";
    KAFKA_REQUEST_ERRORS = Counter "lastword_kafka_request_errors_total" ["api", "error"]
        "Partitions of produces and fetches that were refused, by Kafka's name; CONNECTION_CLOSED of any request";
    FETCH_READ_DURATION = Histogram "lastword_fetch_read_duration_seconds" []
        "How long reading the records of a fetch took; neither waiting for records nor for memory is in it";
    CONNECTIONS = Gauge "lastword_connections" ["listener"]
        "Connections of Kafka clients";
    CONNECTIONS_OPENED = Counter "lastword_connections_opened_total" ["listener"]
        "Connections of Kafka clients that were accepted";
    CONNECTIONS_REFUSED = Counter "lastword_connections_refused_total" ["listener"]
        "Connections beyond max.connections or max.connections.per.ip";
    GROUPS = Gauge "lastword_groups" ["state"]
        "Groups by state";
    GROUP_MEMBERS = Gauge "lastword_group_members" ["group"]
        "Members of a group";
    GROUP_LAG = Gauge "lastword_group_lag" ["group", "topic"]
        "Offsets between what a group has committed and what it could read, summed over partitions with a commit";
    GROUP_LAG_RECORDS = Gauge "lastword_group_lag_records" ["group", "topic"]
        "Records that exist among them: what is really left to read; absent while they are being counted";

    DISK_FREE = Gauge "lastword_disk_free_bytes" ["log_dir"]
        "Bytes that are free on the file system of the log directory";
    DISK_TOTAL = Gauge "lastword_disk_total_bytes" ["log_dir"]
        "Bytes of the file system of the log directory";
    LOG_DIR_OFFLINE = Gauge "lastword_log_dir_offline" ["log_dir"]
        "1 once a write or a sync has failed: the directory takes no more";
    PARTITIONS_FAILED = Gauge "lastword_partitions_failed" ["log_dir"]
        "Partitions that could not be loaded";

    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Time of the processors, user and system";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When the process started, in seconds of Unix time";
    PROCESS_THREADS = Gauge "process_threads" []
        "Threads of the operating system";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Bytes of address space";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Bytes of memory";
    PROCESS_OPEN_FILES = Gauge "process_open_fds" []
        "Open files and sockets";
    PROCESS_MOST_FILES = Gauge "process_max_fds" []
        "Most open files and sockets";

    KAFKA_MAX_BUFFER_UTILIZATION = Gauge "kafka_log_logcleaner_max_buffer_utilization_percent" []
        "Kafka's name: fullest share of a cleaner's memory in the last cleanings";
    KAFKA_RECOPY = Gauge "kafka_log_logcleaner_cleaner_recopy_percent" []
        "Kafka's name: bytes written of bytes read in the last cleanings";
    KAFKA_MAX_CLEAN_TIME = Gauge "kafka_log_logcleaner_max_clean_time_secs" []
        "Kafka's name: the longest of the last cleanings";
    KAFKA_MAX_COMPACTION_DELAY = Gauge "kafka_log_logcleaner_max_compaction_delay_secs" []
        "Kafka's name: the most that a partition is beyond max.compaction.lag.ms";
    KAFKA_DEAD_THREADS = Gauge "kafka_log_logcleaner_deadthreadcount" []
        "Kafka's name: cleaner threads that are configured and do not run";
    KAFKA_MAX_DIRTY = Gauge "kafka_log_logcleanermanager_max_dirty_percent" []
        "Kafka's name: dirty ratio of the dirtiest partition, times 100";
    KAFKA_SINCE_LAST_RUN = Gauge "kafka_log_logcleanermanager_time_since_last_run_ms" []
        "Kafka's name: how long ago the cleaner last looked for work";
    KAFKA_UNCLEANABLE = Gauge "kafka_log_logcleanermanager_uncleanable_partitions_count" ["logdirectory"]
        "Kafka's name: partitions whose last cleaning failed or met damage";
    KAFKA_UNCLEANABLE_BYTES = Gauge "kafka_log_logcleanermanager_uncleanable_bytes" ["logdirectory"]
        "Kafka's name: dirty bytes of those partitions";
}
