"""Work latency: what clients see at a fixed rate while the cleaner rests, and while it works on another topic.

- Produce: Kafka's ProducerPerformance, acks=all, linger 0, at a fixed rate.
- Fetch: java/Reader.java, at the same time as the producer: 64 KiB from random offsets of an older topic at a fixed rate
  (Kafka's ConsumerPerformance gives no percentile), and the time from send to receipt of the producer's own records.
- One record at a time: Kafka's EndToEndLatency, right after.

The busy topic has many partitions, each C's log: one is filled, and the others get links to its files while the broker
is stopped. Cleaning all of them takes longer than the measurement; when it does not, the work fails.
"""

import concurrent.futures
import json
import os
import re
import shutil
import time

from . import cleaning, process
from .brokers import Broker, java
from .process import Failed
from .work import Options, Work, kind
from .work_clean import RECIPES, source

BUSY_COPIES = 24
WARM_SECONDS = 5
SECONDS = 20
RECORD_BYTES = 1024
RECORDS_PER_SECOND = 1_000
READS_PER_SECOND = 50
ROUND_TRIPS = 1_000


def _partitions(scale: float) -> int:
    """Smaller copies, more of them, so that there is enough to clean at any scale."""
    return min(round(BUSY_COPIES / min(scale, 1)), 250)


def works() -> list[Work]:
    return [Work("latency", _title, {"kafka": 190, "lastword": 160}, _run)]


def _title(scale: float) -> str:
    return (
        f"latency at a fixed rate: {RECORDS_PER_SECOND:,} records/s of 1 KiB produced (acks=all, linger 0), "
        f"{READS_PER_SECOND} reads/s of 64 KiB, {SECONDS} s each; busy: the cleaner works on {_partitions(scale)} copies of "
        f"C, {cleaning.setting(scale)}"
    )


def _run(column: str, options: Options) -> dict[str, float]:
    scale, partitions = options.scale, _partitions(options.scale)
    broker = cleaning.start(kind(column), "latency", scale)
    try:
        cleaning.create(broker, scale, *cleaning.HELD_BACK, partitions=partitions)
        cleaning.fill(broker, source(RECIPES["C"], scale))
        for topic in ("head", "old", "trip"):
            cleaning.topics(broker, "create", topic, "1")
        _produce(broker, "old", cleaning.scaled(500_000, scale), -1, 0)
        broker.stop()
        _multiply(broker)
        broker.start(partitions=partitions + 3)
        cleaning.wait_for_key_indexes(broker)
        os.sync()
        # Both brokers and their clients come cold from the start: one round that nobody looks at.
        _measure(broker)
        figures = _named(_measure(broker), "idle")
        before = _log_mb(broker)
        cleaning.topics(broker, "alter", cleaning.TOPIC, *cleaning.LOOSE)
        _wait_until_busy(broker)
        figures |= _named(_measure(broker), "busy")
        clean = cleaning.first_dirty_offsets(broker)
        if sum(offset > 0 for offset in clean.values()) == partitions:
            raise Failed(f"{broker.kind}: the cleaner was done before the measurement: larger --scale, or more partitions")
        figures["cleaned_busy_mb"] = before - _log_mb(broker)
        figures["peak_mib"] = process.memory_mib(broker.child.pid)["VmHWM"]
        return figures
    finally:
        broker.remove()


def _named(measured: dict[str, float], state: str) -> dict[str, float]:
    cores = measured.pop("cleaner_cores")
    return {f"{name}_{state}_ms": value for name, value in measured.items()} | {f"cleaner_cores_{state}": cores}


def _log_mb(broker: Broker) -> float:
    directories = cleaning.partition_dirs(broker, cleaning.TOPIC)
    return sum(stat.st_size for it in directories for stat in cleaning.segments(it).values()) / 1e6


def _wait_until_busy(broker: Broker) -> None:
    """Until the cleaner's threads have used a tenth of a second of CPU."""
    pattern = cleaning.CLEANER_THREADS[broker.kind]
    begin, deadline = process.thread_cpu_seconds(broker.child.pid, pattern), time.monotonic() + 30
    while process.thread_cpu_seconds(broker.child.pid, pattern) < begin + 0.1:
        if time.monotonic() > deadline:
            raise Failed(f"{broker.kind}: the cleaner does not begin")
        time.sleep(0.005)


def _measure(broker: Broker) -> dict[str, float]:
    pattern = cleaning.CLEANER_THREADS[broker.kind]
    begin, cpu = time.monotonic(), process.thread_cpu_seconds(broker.child.pid, pattern)
    # The producer outlasts the reader, whose clock starts with the first record that it sees.
    length = WARM_SECONDS + SECONDS + 1
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        arguments = ("head", "old", str(WARM_SECONDS), str(SECONDS), str(READS_PER_SECOND))
        reading = pool.submit(process.call, java("Reader", broker.address, *arguments), length + 90)
        produced = _produce(
            broker, "head", RECORDS_PER_SECOND * length, RECORDS_PER_SECOND, RECORDS_PER_SECOND * WARM_SECONDS
        )
        read = json.loads(reading.result())
    trips = process.call(
        java("org.apache.kafka.tools.EndToEndLatency", broker.address, "trip", str(ROUND_TRIPS), "all", str(RECORD_BYTES)),
        300,
    )
    found = re.search(r"99th = ([\d.]+)", trips)
    if not found:
        raise Failed(f"EndToEndLatency said: {trips[-500:]}")
    cpu = process.thread_cpu_seconds(broker.child.pid, pattern) - cpu
    return {
        "produce_p50": produced[0],
        "produce_p99": produced[1],
        "fetch_p50": read["fetch"]["p50"],
        "fetch_p99": read["fetch"]["p99"],
        "tail_p99": read["tail"]["p99"],
        "end_to_end_p99": float(found.group(1)),
        "cleaner_cores": max(cpu, 0) / (time.monotonic() - begin),
    }


def _produce(broker: Broker, topic: str, records: int, per_second: int, warm: int) -> tuple[float, float]:
    """ProducerPerformance; returns the median and the 99th percentile, without the warm-up, in milliseconds."""
    warm_up = ("--warmup-records", str(warm)) if warm else ()
    properties = ("acks=all", "linger.ms=0") if per_second > 0 else ("acks=all", "linger.ms=5", "batch.size=131072")
    out = process.call(
        java(
            "org.apache.kafka.tools.ProducerPerformance",
            *("--bootstrap-server", broker.address, "--topic", topic),
            *("--num-records", str(records), "--record-size", str(RECORD_BYTES), "--throughput", str(per_second)),
            *warm_up,
            *("--command-property", *properties),
        ),
        300,
    )
    found = re.findall(r"([\d.]+) ms 50th, [\d.]+ ms 95th, ([\d.]+) ms 99th", out)
    if not found:
        raise Failed(f"ProducerPerformance said: {out[-500:]}")
    # The last line is about the records after the warm-up.
    return float(found[-1][0]), float(found[-1][1])


def _multiply(broker: Broker) -> None:
    """Gives every partition of the busy topic the log of partition 0; the broker is stopped.

    Sealed segments are never written again, so a link does; whatever may be written is copied.
    """
    directories = cleaning.partition_dirs(broker, cleaning.TOPIC)
    first = directories[0]
    active = max(cleaning.segments(first))
    for directory in directories[1:]:
        for name in os.listdir(directory):
            if name != "partition.metadata":
                os.remove(os.path.join(directory, name))
        for name in os.listdir(first):
            source_path, target = os.path.join(first, name), os.path.join(directory, name)
            if name.endswith(".log") and int(name[:20]) != active:
                os.link(source_path, target)
            elif name != "partition.metadata":
                shutil.copy2(source_path, target)
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        _same_for_all(os.path.join(broker.data, name), len(directories))


def _same_for_all(path: str, partitions: int) -> None:
    """Rewrites a checkpoint so that every partition of the busy topic has the entry of partition 0."""
    if not os.path.exists(path):
        return
    with open(path, encoding="ascii") as file:
        version, _, *entries = file.read().splitlines()
    mine = [entry for entry in entries if entry.startswith(f"{cleaning.TOPIC} 0 ")]
    others = [entry for entry in entries if not entry.startswith(f"{cleaning.TOPIC} ")]
    offset = mine[0].split()[2] if mine else "0"
    entries = others + [f"{cleaning.TOPIC} {partition} {offset}" for partition in range(partitions)]
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join([version, str(len(entries)), *entries]) + "\n")
