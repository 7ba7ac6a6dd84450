"""The steps that every work with a cleaning is made of: fill a topic, let the cleaner loose and time it, read it back.

The cleaner is held back by min.cleanable.dirty.ratio=1.0 (or by cleanup.policy=delete) and let loose by one change of
the topic's configs. A cleaning ends when cleaner-offset-checkpoint says so; both brokers write that file alike.
"""

import dataclasses
import json
import mmap
import os
import re
import struct
import time

from . import process
from .brokers import Broker, java
from .process import Failed

MIB = 1 << 20
GB = 1e9
TOPIC = "bench"
LIMIT_SECONDS = 1200
HELD_BACK = ("cleanup.policy=compact", "min.cleanable.dirty.ratio=1.0")
LOOSE = ("cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01")
# The thread names that do a broker's cleaning, as the kernel keeps them (15 characters).
CLEANER_THREADS = {"kafka": r"^kafka-log-clean", "lastword": r"^log-clean|key-?_?ind"}


class TooSlow(Failed):
    """No end within the limit; `seconds` is the limit."""

    def __init__(self, message: str, seconds: float):
        super().__init__(message)
        self.seconds = seconds


@dataclasses.dataclass(frozen=True)
class Input:
    """A generated stream, in the words of java/Generated.java."""

    stream: str
    value_bytes: int
    partitions: int = 1
    producer: tuple[str, ...] = ()


def scaled(full: int, scale: float) -> int:
    return max(int(full * scale), 1_000)


def segment_bytes(scale: float) -> int:
    # Kafka 4 refuses less than 1 MiB. Segments and buffer shrink with the input, so that the shape stays.
    return max(int(64 * MIB * min(scale, 1)), MIB)


def dedupe_bytes(scale: float) -> int:
    return max(int(128 * MIB * min(scale, 1)), MIB)


def setting(scale: float, threads: int = 1) -> str:
    """The settings of every cleaning, in words."""
    return (
        f"segments of {segment_bytes(scale) / MIB:.0f} MiB, {threads} cleaner thread{'s' if threads > 1 else ''}, "
        f"{dedupe_bytes(scale) / MIB:.0f} MiB dedupe buffer"
    )


def start(kind: str, name: str, scale: float, threads: int = 1, http: bool = False) -> Broker:
    broker = Broker(
        kind,
        name,
        {
            "log.cleaner.threads": str(threads),
            "log.cleaner.dedupe.buffer.size": str(dedupe_bytes(scale)),
            # Both look for work ten times a second, so that the wait before a cleaning is not the figure.
            "log.cleaner.backoff.ms": "100",
        },
        http,
    )
    try:
        broker.start()
    except Failed:
        broker.remove()
        raise
    return broker


def topics(broker: Broker, *arguments: str) -> str:
    return process.call(java("Topics", broker.address, *arguments), 180)


def create(broker: Broker, scale: float, *configs: str, topic: str = TOPIC, partitions: int = 1) -> None:
    topics(broker, "create", topic, str(partitions), f"segment.bytes={segment_bytes(scale)}", *configs)


def fill(broker: Broker, source: Input, skip: int = 0, topic: str = TOPIC) -> dict[str, float]:
    """Writes the stream, but for its first `skip` records, and waits until its segments have their key indexes."""
    pid = broker.child.pid
    cpu, cleaner_cpu = process.cpu_seconds(pid), _cleaner_cpu(broker)
    command = ("Fill", broker.address, topic, source.stream, str(source.value_bytes), str(skip), str(source.partitions))
    filled = json.loads(process.call(java(*command, *source.producer), 3600))
    figures = {
        "fill_s": filled["seconds"],
        "fill_cpu_s_per_gb": (process.cpu_seconds(pid) - cpu) / (filled["bytes"] / GB),
    }
    os.sync()
    waited = wait_for_key_indexes(broker, topic)
    if waited is not None:
        figures["index_wait_s"] = waited
        figures["index_cpu_s"] = _cleaner_cpu(broker) - cleaner_cpu
        figures["index_mb"] = sum(_bytes(it, ".keyindex") for it in partition_dirs(broker, topic)) / 1e6
    return figures


def wait_for_key_indexes(broker: Broker, topic: str = TOPIC) -> float | None:
    """Waits until every sealed segment has one; returns the seconds. None when this broker makes none."""
    if broker.kind != "lastword":
        return None
    begin = time.monotonic()
    while True:
        waited = time.monotonic() - begin
        present = missing = 0
        for directory in partition_dirs(broker, topic):
            names = set(os.listdir(directory))
            sealed = sorted(name[:20] for name in names if name.endswith(".log"))[:-1]
            there = sum(f"{base}.keyindex" in names for base in sealed)
            present, missing = present + there, missing + len(sealed) - there
        if missing == 0 and present:
            return waited
        if not present and waited > 3:
            return None
        if waited > 600:
            raise Failed(f"{missing} sealed segments have no key index after {waited:.0f} s")
        time.sleep(0.01)


def let_loose(broker: Broker, limit_seconds: float, partitions: int = 1, configs: tuple = LOOSE) -> dict[str, float]:
    """Changes the configs and waits until the checkpoint has reached the active segment of every partition."""
    directories = partition_dirs(broker, TOPIC)
    before = sum(_bytes(it, ".log") for it in directories)
    sealed = sum(len(segments(it)) - 1 for it in directories)
    active = [max(segments(it)) for it in directories]
    before_offsets = first_dirty_offsets(broker)
    if any(before_offsets.get(it, 0) >= active[it] for it in range(partitions) if active[it]):
        raise Failed(f"{broker.kind} cleaned before it was told to")
    pid, mark = broker.child.pid, broker.log_size()
    cpu, io = process.cpu_seconds(pid), process.io_bytes(pid)
    resident = process.memory_mib(pid)["VmRSS"]
    process.reset_peak(pid)
    answered = float(topics(broker, "alter", TOPIC, *configs).strip()) / 1000
    while not _is_clean(first_dirty_offsets(broker), active):
        if broker.child.poll() is not None:
            raise Failed(f"{broker.kind} died while cleaning\n{broker.log_text()[-3000:]}")
        if time.time() > answered + limit_seconds:
            now = first_dirty_offsets(broker)
            raise TooSlow(f"{broker.kind}: no full cleaning in {limit_seconds:.0f} s: {now} of {active}", limit_seconds)
        time.sleep(0.005)
    # The files' own clock: the checkpoint is replaced by rename, its time is when the cleaning was recorded.
    checkpoint = os.stat(os.path.join(broker.data, "cleaner-offset-checkpoint"))
    wall = max(checkpoint.st_mtime - answered, 0.001)
    cpu_then = process.cpu_seconds(pid)
    peak = process.memory_mib(pid)["VmHWM"]
    # Whatever the broker still writes for this cleaning is part of what it wrote.
    waited = wait_for_key_indexes(broker)
    after_io = process.io_bytes(pid)
    reindexed = sum(_bytes(it, ".keyindex", since=answered) for it in directories)
    written = after_io["written"] - io["written"] - reindexed
    tail = sum(_bytes(it, ".log", below=end) for it, end in zip(directories, active))
    figures = {
        "clean_wall_s": wall,
        "clean_cpu_s": cpu_then - cpu,
        "clean_cpu_s_per_gb": (cpu_then - cpu) / (before / GB),
        "clean_memory_mib": max(peak - resident, 0),
        "clean_peak_mib": peak,
        "clean_read_mb": (after_io["read"] - io["read"]) / 1e6,
        "clean_written_mb": written / 1e6,
        "written_per_survivor": written / tail,
        "log_before_mb": before / 1e6,
        "segments_before": sealed,
        "tail_after_mb": tail / 1e6,
        "head_after_mb": sum(_bytes(it, ".log") for it in directories) / 1e6 - tail / 1e6,
    }
    if waited is not None:
        figures["reindex_mb"] = reindexed / 1e6
        figures["reindex_wait_s"] = waited
        figures["reindex_cpu_s"] = process.cpu_seconds(pid) - cpu_then
    if partitions == 1:
        figures |= _own_cleaning_time(broker, mark)
    return figures


def drain(broker: Broker, source: Input, topic: str = TOPIC) -> dict[str, float]:
    """Reads everything back and compares it with the generator; a log that is not its fold is a failure."""
    clean = first_dirty_offsets(broker)
    below = ",".join(str(clean.get(partition, 0)) for partition in range(source.partitions))
    command = java("Drain", broker.address, topic, source.stream, str(source.value_bytes), below)
    drained = json.loads(process.call(command, 1800))
    if drained["wrong_keys"] or drained["out_of_order"]:
        raise Failed(f"{broker.kind}: the cleaned log is not the fold of its input: {drained}")
    return {
        "records_after": drained["records"],
        "live_mb": drained["keys"] * (16 + source.value_bytes) / 1e6,
        "duplicates_after": drained["duplicates"],
        "restore_s": drained["seconds"],
        "restore_mb": drained["fetched_bytes"] / 1e6,
        "restore_batches": sum(_batches(it) for it in partition_dirs(broker, TOPIC)),
    }


def partition_dirs(broker: Broker, topic: str) -> list[str]:
    """The directories of a topic's partitions, in order."""
    found = [name for name in os.listdir(broker.data) if re.fullmatch(re.escape(topic) + r"-\d+", name)]
    return [os.path.join(broker.data, name) for name in sorted(found, key=lambda name: int(name.rsplit("-", 1)[1]))]


def segments(directory: str) -> dict[int, os.stat_result]:
    """Base offset -> what the file system says about the segment."""
    return {int(it.name[:20]): it.stat() for it in os.scandir(directory) if it.name.endswith(".log")}


def first_dirty_offsets(broker: Broker, topic: str = TOPIC) -> dict[int, int]:
    """Partition -> first dirty offset, from cleaner-offset-checkpoint."""
    try:
        with open(os.path.join(broker.data, "cleaner-offset-checkpoint"), encoding="ascii") as file:
            fields = [line.split() for line in file]
    except FileNotFoundError:
        return {}
    return {int(it[1]): int(it[2]) for it in fields if len(it) == 3 and it[0] == topic}


def tail_files(broker: Broker) -> list[str]:
    """The segments of partition 0 below the active one."""
    directory = partition_dirs(broker, TOPIC)[0]
    return [os.path.join(directory, f"{base:020}.log") for base in sorted(segments(directory))[:-1]]


def log_bytes(directory: str) -> int:
    return _bytes(directory, ".log")


def _is_clean(offsets: dict[int, int], active: list[int]) -> bool:
    return all(offsets.get(partition, 0) >= end for partition, end in enumerate(active))


def _cleaner_cpu(broker: Broker) -> float:
    return process.thread_cpu_seconds(broker.child.pid, CLEANER_THREADS[broker.kind])


def _bytes(directory: str, suffix: str, below: int = 1 << 62, since: float = 0) -> int:
    """Bytes of the files of segments whose base offset is below a bound, made since a moment."""
    total = 0
    for entry in os.scandir(directory):
        if entry.name.endswith(suffix) and int(entry.name[:20]) < below:
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            total += stat.st_size if stat.st_mtime >= since else 0
    return total


def _batches(directory: str) -> int:
    """Record batches in a partition's segments, by their headers."""
    total = 0
    for base, stat in segments(directory).items():
        if stat.st_size == 0:
            continue
        with open(os.path.join(directory, f"{base:020}.log"), "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
                at = 0
                while at + 12 <= len(log):
                    (length,) = struct.unpack_from(">i", log, at + 8)
                    if length <= 0:
                        break
                    at += 12 + length
                    total += 1
    return total


def _own_cleaning_time(broker: Broker, mark: int) -> dict[str, float]:
    """Kafka: 'x MB of log processed in y seconds' a round. Lastword: the phases of each `cleaned` line."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        text = broker.log_text(mark)
        if broker.kind == "kafka":
            found = [float(s.replace(",", "")) for s in re.findall(r"MB of log processed in ([\d,.]+) seconds", text)]
        else:
            lines = [line for line in text.splitlines() if " cleaned " in line and f"{TOPIC}-0" in line]
            phases = [re.findall(r"\b(?:index|plan|rewrite)_ms=\"?([\d.]+)", line) for line in lines]
            found = [sum(map(float, ms)) / 1000 for ms in phases if ms]
        if found:
            return {"clean_own_s": sum(found), "clean_rounds": len(found)}
        time.sleep(0.1)
    return {}
