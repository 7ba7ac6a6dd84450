"""The works, each a function of (kind, scale) that returns figures by name.

A and C are cleanings, F and G produce, H consumes, I starts. Figures carry their unit in METRICS, so the table and
the page are made from the same list. Whatever a broker computes wrongly (a key whose last value is gone) is a failure
of the whole work, never a figure.
"""

import json
import os
import re
import time

from . import process
from .brokers import Broker, java
from .process import Failed

MIB = 1 << 20
GB = 1e9

# name -> (what it says, unit, "lower" or "higher" is better, or "" when it is only information)
METRICS = {
    "clean_wall_s": ("cleaning, from the config change to the checkpoint", "s", "lower"),
    "clean_own_s": ("cleaning, by the broker's own log", "s", "lower"),
    "clean_rounds": ("rounds it took", "", ""),
    "clean_cpu_s": ("CPU of the cleaning", "s", "lower"),
    "clean_cpu_s_per_gb": ("CPU of the cleaning per GB of log", "s/GB", "lower"),
    "clean_read_mb": ("read by the process meanwhile", "MB", "lower"),
    "clean_written_mb": ("written by the process meanwhile", "MB", "lower"),
    "log_before_mb": ("log before", "MB", ""),
    "tail_after_mb": ("cleaned part of the log after", "MB", "lower"),
    "head_after_mb": ("active segment, which is never cleaned", "MB", ""),
    "records_after": ("records after", "", ""),
    "restore_s": ("read back from the start after cleaning (E)", "s", "lower"),
    "fill_s": ("writing the input, acks=all", "s", "lower"),
    "fill_cpu_s_per_gb": ("broker CPU per GB written", "s/GB", "lower"),
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
    "peak_mib": ("peak memory", "MiB", "lower"),
}

TOPIC = "bench"


def run(work: str, kind: str, scale: float) -> dict[str, float]:
    if work in CLEANINGS:
        return _cleaning(work, kind, scale)
    return {"F": _produce_small, "G": _produce_large, "H": _consume, "I": _start}[work](kind, scale)


# ------------------------------------------------------------------------------------------------ A, C: cleaning

CLEANINGS = {
    # records, key space (A: about 500 k keys, all drawn; C: 20 M draws hit 12.6 M of 20 M keys), value bytes
    "A": (4_000_000, 500_000, 200),
    "C": (20_000_000, 20_000_000, 60),
}


def describe(work: str, scale: float) -> str:
    if work in CLEANINGS:
        records, keys, value_bytes = _cleaning_size(work, scale)
        return (
            f"clean {records:,} records drawn from {keys:,} keys, {value_bytes} B values, uncompressed, segments of "
            f"{_segment_bytes(scale) / MIB:.0f} MiB, 1 cleaner thread, {_dedupe_bytes(scale) / MIB:.0f} MiB dedupe buffer"
        )
    return {
        "F": f"produce {_count(5_000_000, scale):,} records of 200 B (ProducerPerformance, acks=all, linger 5, 128 KiB)",
        "G": f"produce {_count(1_500_000, scale):,} records of 1 KiB (ProducerPerformance, acks=all, linger 5, 128 KiB)",
        "H": f"consume {_count(1_465_000, scale) * 1024 / GB:.2f} GB of 1 KiB records (ConsumerPerformance)",
        "I": "start, stop and resident memory (one Metadata request over a raw socket)",
    }[work]


def _count(full: int, scale: float) -> int:
    return max(int(full * scale), 1_000)


def _cleaning_size(work: str, scale: float) -> tuple[int, int, int]:
    records, keys, value_bytes = CLEANINGS[work]
    return _count(records, scale), _count(keys, scale), value_bytes


def _segment_bytes(scale: float) -> int:
    # Kafka 4 refuses less than 1 MiB. Segments and buffer shrink with the input, so that the shape stays.
    return max(int(64 * MIB * min(scale, 1)), MIB)


def _dedupe_bytes(scale: float) -> int:
    return max(int(128 * MIB * min(scale, 1)), MIB)


def _cleaning(work: str, kind: str, scale: float) -> dict[str, float]:
    records, keys, value_bytes = _cleaning_size(work, scale)
    broker = Broker(
        kind,
        work,
        {
            "log.cleaner.threads": "1",
            "log.cleaner.dedupe.buffer.size": str(_dedupe_bytes(scale)),
            # Both look for work ten times a second, so that the wait before a cleaning is not the figure.
            "log.cleaner.backoff.ms": "100",
        },
    )
    try:
        broker.start()
        topic = [
            "cleanup.policy=compact",
            "min.cleanable.dirty.ratio=1.0",
            f"segment.bytes={_segment_bytes(scale)}",
        ]
        _topics(broker, "create", TOPIC, "1", *topic)
        stream = [TOPIC, str(records), str(keys), str(value_bytes)]
        pid = broker.child.pid
        cpu = process.cpu_seconds(pid)
        fill = json.loads(process.call(java("Fill", broker.address, *stream), 1800))
        figures = {
            "fill_s": fill["seconds"],
            "fill_cpu_s_per_gb": (process.cpu_seconds(pid) - cpu) / (fill["bytes"] / GB),
        }
        os.sync()
        figures |= _time_cleaning(broker)
        drained = json.loads(process.call(java("Drain", broker.address, *stream), 900))
        if drained["wrong_keys"] or drained["out_of_order"]:
            raise Failed(f"{kind}: the cleaned log is not the fold of its input: {drained}")
        figures |= {
            "records_after": drained["records"],
            "restore_s": drained["seconds"],
            "peak_mib": process.memory_mib(pid)["VmHWM"],
        }
        return figures
    finally:
        broker.remove()


def _time_cleaning(broker: Broker) -> dict[str, float]:
    """Lets the cleaner loose and waits until its checkpoint reaches the active segment."""
    partition = os.path.join(broker.data, f"{TOPIC}-0")
    before = _log_bytes(partition)
    # Nothing may be cleaned yet, or the start is wrong.
    if _checkpoint(broker) > 0:
        raise Failed(f"{broker.kind} cleaned before it was told to")
    pid = broker.child.pid
    active = max(int(name[:20]) for name in os.listdir(partition) if name.endswith(".log"))
    cpu, io = process.cpu_seconds(pid), process.io_bytes(pid)
    answered = float(_topics(broker, "alter", TOPIC, "min.cleanable.dirty.ratio=0.01").strip()) / 1000
    deadline = time.monotonic() + 1200
    while _checkpoint(broker) < active:
        if broker.child.poll() is not None:
            raise Failed(f"{broker.kind} died while cleaning\n{broker.log_text()[-3000:]}")
        if time.monotonic() > deadline:
            raise Failed(f"{broker.kind}: no full cleaning in 1200 s, checkpoint {_checkpoint(broker)} of {active}")
        time.sleep(0.005)
    # The files' own clock: the checkpoint is replaced by rename, its time is when the cleaning was recorded.
    wall = os.stat(os.path.join(broker.data, "cleaner-offset-checkpoint")).st_mtime - answered
    cpu, after_io = process.cpu_seconds(pid) - cpu, process.io_bytes(pid)
    own, rounds = _own_cleaning_time(broker)
    figures = {
        "clean_wall_s": max(wall, 0.001),
        "clean_own_s": own,
        "clean_rounds": rounds,
        "clean_cpu_s": cpu,
        "clean_cpu_s_per_gb": cpu / (before / GB),
        "clean_read_mb": (after_io["read"] - io["read"]) / 1e6,
        "clean_written_mb": (after_io["written"] - io["written"]) / 1e6,
        "log_before_mb": before / 1e6,
        "tail_after_mb": _log_bytes(partition, below=active) / 1e6,
        "head_after_mb": (_log_bytes(partition) - _log_bytes(partition, below=active)) / 1e6,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _checkpoint(broker: Broker) -> int:
    """First dirty offset of the topic's partition in cleaner-offset-checkpoint; the file is the same in both."""
    try:
        with open(os.path.join(broker.data, "cleaner-offset-checkpoint"), encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if len(fields) == 3 and fields[:2] == [TOPIC, "0"]:
                    return int(fields[2])
    except FileNotFoundError:
        pass
    return 0


def _log_bytes(partition: str, below: int = 1 << 62) -> int:
    """Bytes of the segments whose base offset is below a bound."""
    total = 0
    for entry in os.scandir(partition):
        if entry.name.endswith(".log") and int(entry.name[:20]) < below:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def _own_cleaning_time(broker: Broker) -> tuple[float | None, int | None]:
    """Kafka: 'x MB of log processed in y seconds' a round. Lastword: the phases of each `cleaned` line."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        text = broker.log_text()
        if broker.kind == "kafka":
            found = [float(s.replace(",", "")) for s in re.findall(r"MB of log processed in ([\d,.]+) seconds", text)]
        else:
            lines = [line for line in text.splitlines() if " cleaned " in line and f"{TOPIC}-0" in line]
            phases = [re.findall(r"\b\w+_ms=\"?([\d.]+)", line) for line in lines]
            found = [sum(map(float, ms)) / 1000 for ms in phases if ms]
        if found:
            return sum(found), len(found)
        time.sleep(0.1)
    return None, None


def _topics(broker: Broker, *arguments: str) -> str:
    return process.call(java("Topics", broker.address, *arguments), 180)


# --------------------------------------------------------------------------------------------- F, G, H: the wire


def _produce_small(kind: str, scale: float) -> dict[str, float]:
    return _produce(kind, "F", _count(5_000_000, scale), 200)


def _produce_large(kind: str, scale: float) -> dict[str, float]:
    return _produce(kind, "G", _count(1_500_000, scale), 1024)


def _produce(kind: str, work: str, records: int, size: int) -> dict[str, float]:
    broker = Broker(kind, work, {})
    try:
        broker.start()
        _topics(broker, "create", TOPIC, "1")
        # A tenth of the work first, so that Kafka's compiler has seen the path before the clock runs.
        _perf_produce(broker, max(records // 10, 1_000), size)
        pid = broker.child.pid
        cpu = process.cpu_seconds(pid)
        figures = _perf_produce(broker, records, size)
        figures["cpu_s_per_gb"] = (process.cpu_seconds(pid) - cpu) / (records * size / GB)
        figures["peak_mib"] = process.memory_mib(pid)["VmHWM"]
        return figures
    finally:
        broker.remove()


def _perf_produce(broker: Broker, records: int, size: int) -> dict[str, float]:
    out = process.call(
        java(
            "org.apache.kafka.tools.ProducerPerformance",
            *("--bootstrap-server", broker.address, "--topic", TOPIC),
            *("--num-records", str(records), "--record-size", str(size), "--throughput", "-1"),
            *("--command-property", "acks=all", "linger.ms=5", "batch.size=131072"),
        ),
        900,
    )
    last = out.strip().splitlines()[-1]
    found = re.search(
        r"([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency.* ([\d.]+) ms 99th", last.replace(",", ".", 0)
    )
    if not found:
        raise Failed(f"ProducerPerformance said: {last}")
    names = ("produce_records_s", "produce_mib_s", "latency_avg_ms", "latency_p99_ms")
    return dict(zip(names, map(float, found.groups())))


def _consume(kind: str, scale: float) -> dict[str, float]:
    records, size = _count(1_465_000, scale), 1024
    broker = Broker(kind, "H", {})
    try:
        broker.start()
        _topics(broker, "create", TOPIC, "1")
        _perf_produce(broker, records, size)
        os.sync()
        _perf_consume(broker, max(records // 10, 1_000))
        pid = broker.child.pid
        cpu = process.cpu_seconds(pid)
        fields = _perf_consume(broker, records)
        cpu = process.cpu_seconds(pid) - cpu
        if float(fields["data.consumed.in.nMsg"]) < records:
            raise Failed(f"{kind}: consumed {fields['data.consumed.in.nMsg']} of {records} records")
        return {
            "consume_mib_s": float(fields["fetch.MB.sec"]),
            "cpu_s_per_gb": cpu / (records * size / GB),
            "peak_mib": process.memory_mib(pid)["VmHWM"],
        }
    finally:
        broker.remove()


def _perf_consume(broker: Broker, records: int) -> dict[str, str]:
    out = process.call(
        java(
            "org.apache.kafka.tools.ConsumerPerformance",
            *("--bootstrap-server", broker.address, "--topic", TOPIC),
            *("--num-records", str(records), "--timeout", "60000"),
        ),
        600,
    )
    lines = [line for line in out.splitlines() if line.count(",") >= 9]
    if len(lines) < 2:
        raise Failed(f"ConsumerPerformance said: {out[-1000:]}")
    split = [[part.strip() for part in line.split(",")] for line in lines]
    return dict(zip(split[0], split[-1]))


# ------------------------------------------------------------------------------------------------------ I: start


def _start(kind: str, scale: float) -> dict[str, float]:
    broker = Broker(kind, "I", {})
    try:
        figures = {"start_empty_s": broker.start(), "rss_empty_mib": _idle(broker)}
        start = time.monotonic()
        created = time.time()
        answered = float(_topics(broker, "create", TOPIC, "1000").strip()) / 1000
        figures["create_1000_s"] = max(min(answered - created, time.monotonic() - start), 0)
        _idle(broker)
        figures["stop_1000_s"] = broker.stop()
        figures["start_1000_s"] = broker.start(partitions=1000)
        figures["rss_1000_mib"] = _idle(broker)
        return figures
    finally:
        broker.remove()


def _idle(broker: Broker) -> float:
    """Resident memory once it has rested."""
    time.sleep(5)
    return process.memory_mib(broker.child.pid)["VmRSS"]
