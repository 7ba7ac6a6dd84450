"""What a figure is called, its unit and which way is better: the tables are made from this list, in this order."""

from .work import OTHERS

COLUMNS = {
    "kafka": "Kafka 4.3.0",
    "nats": "NATS JetStream KV 2.15.2",
    "apart": "Lastword, re-batching off",
    "lastword": "Lastword",
    "nothing": "Lastword, from nothing",
    "state": "Lastword, TOPIC@state",
}

# name -> (what it says, unit, "lower" or "higher" is better, or "" when it is only information)
METRICS = {
    "clean_wall_s": ("cleaning, from the config change to the checkpoint", "s", "lower"),
    "clean_own_s": ("cleaning, by the broker's own log", "s", "lower"),
    "clean_rounds": ("rounds it took", "", ""),
    "clean_us_per_record": ("cleaning, time per record of the log", "us", "lower"),
    "limit_min_s": ("cp and fsync of what survived: fastest", "s", ""),
    "limit_median_s": ("cp and fsync of what survived: median", "s", ""),
    "limit_max_s": ("cp and fsync of what survived: slowest", "s", ""),
    "limit_ratio": ("cleaning / cp and fsync, medians", "", "lower"),
    "clean_cpu_s": ("CPU of the cleaning", "s", "lower"),
    "clean_cpu_s_per_gb": ("CPU of the cleaning per GB of log", "s/GB", "lower"),
    "clean_memory_mib": ("memory of the cleaning: peak resident minus resident before", "MiB", "lower"),
    "clean_peak_mib": ("peak resident during the cleaning", "MiB", "lower"),
    "clean_read_mb": ("read by the process meanwhile", "MB", "lower"),
    "clean_written_mb": ("written by the process meanwhile, key indexes apart", "MB", "lower"),
    "written_per_survivor": ("written per surviving byte, key indexes apart", "", "lower"),
    "reindex_mb": ("key indexes of what was written", "MB", ""),
    "reindex_wait_s": ("key indexes of what was written: ready after the checkpoint by", "s", ""),
    "reindex_cpu_s": ("key indexes of what was written: CPU after the checkpoint", "s", ""),
    "log_before_mb": ("log before", "MB", ""),
    "segments_before": ("segments before, without the active one", "", ""),
    "dead_segments": ("segments that held a dead record", "", ""),
    "dead_segments_mb": ("their bytes", "MB", ""),
    "written_per_dead_segment": ("written per byte of a segment that held a dead record", "", "lower"),
    "live_segments": ("segments without a dead record", "", ""),
    "kept_segments": ("of these, files that are still the same inode", "", "higher"),
    "tail_after_mb": ("cleaned part of the log after", "MB", "lower"),
    "head_after_mb": ("active segment, which is never cleaned", "MB", ""),
    "records_after": ("records after", "", ""),
    "duplicates_after": ("keys that occur again in the cleaned part", "", "lower"),
    "log_mb": ("log, tail and head", "MB", ""),
    "restore_s": ("read back from the start after cleaning (E)", "s", "lower"),
    "restore_mb": ("bytes that this consumer fetched (E)", "MB", "lower"),
    "restore_first_s": ("of these the first one", "s", "lower"),
    "restore_records": ("records that this consumer was given (E)", "", "lower"),
    "live_mb": ("keys and values of the live records", "MB", ""),
    "restore_per_live": ("bytes fetched per live byte", "", "lower"),
    "restore_cpu_s": ("CPU of the broker for one restore", "s", "lower"),
    "restore_batches": ("batches in the log (E)", "", "lower"),
    "dumped_batches": ("batches of the cleaned part that DumpLogSegments finds valid", "", ""),
    "fill_s": ("writing the input, acks=all", "s", "lower"),
    "fill_cpu_s_per_gb": ("broker CPU per GB written", "s/GB", "lower"),
    "index_cpu_s": ("building the input's key indexes meanwhile: CPU of the cleaner's threads", "s", ""),
    "index_wait_s": ("building the input's key indexes: ready after the last record by", "s", ""),
    "index_mb": ("the input's key indexes", "MB", ""),
    "produce_records_s": ("records per second", "1/s", "higher"),
    "produce_mib_s": ("throughput", "MiB/s", "higher"),
    "latency_avg_ms": ("latency, average", "ms", "lower"),
    "latency_p99_ms": ("latency, 99th percentile", "ms", "lower"),
    "consume_mib_s": ("throughput, fetch time", "MiB/s", "higher"),
    "cpu_s_per_gb": ("broker CPU per GB", "s/GB", "lower"),
    "start_empty_s": ("start to first answer, empty data", "s", "lower"),
    "rss_empty_mib": ("resident when idle, empty data", "MiB", "lower"),
    "create_1000_s": ("creating a topic with 1,000 partitions", "s", "lower"),
    "stop_1000_s": ("clean stop with 1,000 partitions", "s", "lower"),
    "start_1000_s": ("start to 1,000 led partitions", "s", "lower"),
    "rss_1000_mib": ("resident when idle, 1,000 partitions", "MiB", "lower"),
    "lookup_fill_s": ("writing the input, each record acknowledged", "s", "lower"),
    "lookup_disk_mb": ("on disk", "MB", "lower"),
    "lookup_first_ms": ("the first lookup of all", "ms", "lower"),
    "lookup_p50_us": ("keys that are there, one client: p50", "us", "lower"),
    "lookup_p99_us": ("keys that are there, one client: p99", "us", "lower"),
    "lookup_p999_us": ("keys that are there, one client: p99.9", "us", "lower"),
    "lookup_absent_p50_us": ("keys that are not there, one client: p50", "us", "lower"),
    "lookup_absent_p99_us": ("keys that are not there, one client: p99", "us", "lower"),
    "lookup_many_p50_us": ("keys that are there, eight clients: p50", "us", "lower"),
    "lookup_many_p99_us": ("keys that are there, eight clients: p99", "us", "lower"),
    "lookup_reads": ("reads of files per lookup of a key that is there", "", ""),
    "lookup_read_kib": ("what they read", "KiB", ""),
    "lookup_absent_reads": ("reads of files per lookup of a key that is not there", "", ""),
    "lookup_rss_mib": ("resident memory after the lookups", "MiB", "lower"),
    "commit_records_s": ("offsets committed per second, 32 connections", "1/s", "higher"),
    "load_before_s": ("loading, not cleaned, by the broker's own log", "s", "lower"),
    "load_before_records": ("records loaded", "", ""),
    "load_before_mb": ("their log", "MB", ""),
    "load_before_rss_mib": ("resident after loading", "MiB", "lower"),
    "load_after_s": ("loading, cleaned, by the broker's own log", "s", "lower"),
    "load_after_records": ("records loaded, cleaned", "", ""),
    "load_after_mb": ("their log, cleaned", "MB", ""),
    "load_after_rss_mib": ("resident after loading, cleaned", "MiB", "lower"),
}

_LATENCIES = {
    "produce_p50": "produce p50 (ProducerPerformance)",
    "produce_p99": "produce p99 (ProducerPerformance)",
    "fetch_p50": "fetch p50, 64 KiB at a random offset",
    "fetch_p99": "fetch p99, 64 KiB at a random offset",
    "tail_p99": "sent to received p99, the fixed-rate records at the head",
    "end_to_end_p99": "one record at a time, sent to received p99 (EndToEndLatency)",
}
STATES = {"idle": "cleaner idle", "busy": "cleaner busy on another topic"}
for _state, _while in STATES.items():
    for _name, _what in _LATENCIES.items():
        METRICS[f"{_name}_{_state}_ms"] = (f"{_while}: {_what}", "ms", "lower")
    METRICS[f"cleaner_cores_{_state}"] = (f"{_while}: CPU of the cleaner's threads", "cores", "")
METRICS["cleaned_busy_mb"] = ("cleaned during the busy half", "MB", "higher")
METRICS["peak_mib"] = ("peak memory", "MiB", "lower")


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if value >= 1000 or (unit == "" and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def other(columns) -> str | None:
    """The column that Lastword is compared with."""
    return next((column for column in OTHERS if column in columns), None)


def verdict(kafka: float | None, lastword: float | None, better: str) -> str:
    """How many times better Lastword is, in words that cannot be misread."""
    if not better or not kafka or not lastword:
        return ""
    gain = kafka / lastword if better == "lower" else lastword / kafka
    if 0.95 <= gain <= 1.05:
        return "even"
    return f"{gain:.1f}x better" if gain > 1 else f"{1 / gain:.1f}x worse"
