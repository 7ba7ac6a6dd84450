"""Only the tail is cleaned, readers never notice, and cleaning needs little disk.

The head reads like a log that was never compacted, a slow reader outlives the segments it
reads, and while a log is cleaned its directory grows by about one segment, not by itself.
"""

import os
import random
import socket

from harness import wire
from harness.case import case, check, equal
from harness.kcat import kcat, produce, read

NEVER, ALWAYS = {"min.cleanable.dirty.ratio": 1}, {"min.cleanable.dirty.ratio": 0.01}
CLEANER = {"log.cleaner.backoff.ms": 50, "log.segment.delete.delay.ms": 100}


def last_values(rows) -> dict:
    return {row.key: row.value for row in rows}


@case("head_reads_every_record", seconds=120)
def head_reads_every_record(context):
    """A consumer at the head misses nothing while the cleaner works right behind it."""
    broker = context.start_broker(CLEANER)
    # The head is what is younger than the lag, so a machine that stutters cannot fake a loss.
    topic = context.create_topic(on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 256 << 10,
        "min.compaction.lag.ms": 2000, **ALWAYS})
    total, per_second, keys = (32_000 if context.fast else 100_000), 5000, 300
    out = context.java("paced_head", topic, total, per_second, keys, on=broker, seconds=100)
    context.wait_cleaned(broker, topic)
    rows = read(context, topic, on=broker)
    check(len(rows) < total / 2, f"{len(rows)} of {total} records are left: nothing was cleaned")
    equal({key: int(value[:10]) for key, value in last_values(rows).items()},
          {f"key-{k}": max(range(k, total, keys)) for k in range(keys)}, "last values")
    context.note(f"{total} read at the head, {len(rows)} left; {out.strip()}")


@case("slow_reader", seconds=120)
def slow_reader(context):
    """Readers in the middle of segments that are being swapped away finish without error."""
    broker = context.start_broker(CLEANER)
    # Kafka closes a file under its readers when the delay is over; Lastword waits for the last one.
    delay_ms = 0 if context.target == "lastword" else 60_000
    topic = context.create_topic(on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 8 << 20,
        "file.delete.delay.ms": delay_ms, **NEVER})
    count, keys = 160_000, 700
    produce(context, topic, [f"key-{i % keys}:{i} {'x' * 150}" for i in range(count)],
            "-X", "batch.num.messages=50", on=broker)
    total = read_positions(context, topic, broker)
    check(len(broker.segment_bases(topic)) >= 3, "the log has fewer than three segments")

    # One answer of several MiB, of which only the beginning is read before the swap.
    stuck = half_read_fetch(broker, topic)
    # A reader that fetches little at a time, standing inside the first segment.
    with broker.connect() as connection:
        reader = Reader(connection, topic, offset=total // 10)
        reader.advance(20)
        context.set_topic_configs(topic, ALWAYS, on=broker)
        reader.advance(200)
        context.wait_cleaned(broker, topic)
        reader.advance(20)
        reader.to_end()
    batches = finish_fetch(stuck)
    check(batches, "the half-read answer held no batch")
    check(all(b.crc_valid for b in batches), "the half-read answer holds a broken batch")
    found = [record.offset for b in batches for record in b.records()]
    equal(found, list(range(found[0], found[0] + len(found))), "offsets in the half-read answer")
    left = read(context, topic, on=broker)
    check(len(left) < count / 2, f"{len(left)} of {count} records are left: nothing was cleaned")
    equal(reader.state, {k: v.split()[0] for k, v in last_values(left).items()},
          "what the slow reader saw last of each key")
    context.note(f"{sum(len(b.payload) for b in batches) >> 10} KiB answered across the swap")


def read_positions(context, topic, broker) -> int:
    """The end of the log, as a real client sees it."""
    out = kcat(context, "-Q", "-t", f"{topic}:0:-1", on=broker).out
    return int(out.strip().rsplit(" ", 1)[1])


class Reader:
    """Fetches 16 KiB at a time; offsets may have gaps but must rise."""

    def __init__(self, connection, topic: str, offset: int):
        self.connection, self.topic, self.offset = connection, topic, offset
        self.state: dict[str, str] = {}

    def advance(self, fetches: int) -> bool:
        """Whether there was still something to read."""
        for _ in range(fetches):
            found = self.connection.fetch(self.topic, self.offset, max_bytes=16 << 10)
            equal(found.error, 0, f"error of a fetch at {self.offset}")
            batches = found.batches()
            if self.offset >= found.high_watermark:
                return False
            check(batches, f"an empty answer at {self.offset} below {found.high_watermark}")
            for batch in batches:
                check(batch.crc_valid, f"broken batch at {batch.base_offset}")
                check(batch.last_offset >= self.offset, f"batch {batch.base_offset} is behind")
                for record in batch.records():
                    if record.offset >= self.offset:
                        self.state[record.key.decode()] = record.value.split()[0].decode()
                self.offset = batch.last_offset + 1
        return True

    def to_end(self) -> None:
        while self.advance(100):
            continue


def half_read_fetch(broker, topic: str) -> socket.socket:
    """Ask for 8 MiB through a small window, and read only the first 64 KiB of the answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    sock.settimeout(30)
    sock.connect(broker.address)
    connection = wire.Connection.__new__(wire.Connection)
    connection.socket, connection.correlation = sock, 0
    connection.send(wire.FETCH, 11, connection.fetch_body(topic, 0, 0, 8 << 20, 200, 1))
    size = int.from_bytes(connection.receive_exactly(4), "big")
    connection.pending = (size, connection.receive_exactly(min(size, 64 << 10)))
    return connection


def finish_fetch(connection) -> list:
    size, begin = connection.pending
    raw = begin + connection.receive_exactly(size - len(begin))
    reader = wire.Reader(raw)
    equal(reader.i32(), connection.correlation, "correlation id of the half-read answer")
    found = connection.read_fetch(reader)
    equal(found.error, 0, "error of the half-read answer")
    connection.close()
    return found.batches()


@case("cleaning_needs_little_disk", seconds=180)
def cleaning_needs_little_disk(context):
    """Sampled all the while: the directory never exceeds the log and one segment."""
    broker = context.start_broker(CLEANER)
    segment = 4 << 20
    topic = context.create_topic(on=broker, configs={
        "cleanup.policy": "compact", "segment.bytes": segment, "file.delete.delay.ms": 0, **NEVER})
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    count = 120_000 if context.fast else 300_000
    produce(context, topic, [f"key-{draw.randrange(count // 2)}:{i} {'x' * 200}"
                             for i in range(count)], on=broker)
    folder = broker.partition_dir(topic)
    before = used_bytes(folder)
    context.set_topic_configs(topic, ALWAYS, on=broker)
    most, samples = before, 0

    def cleaned() -> bool:
        nonlocal most, samples
        most, samples = max(most, used_bytes(folder)), samples + 1
        return (broker.checkpoint(topic) or -1) >= broker.segment_bases(topic)[-1] > 0

    context.wait_until(cleaned, "the log is cleaned", 90, pause=0.002)
    context.wait_until(lambda: used_bytes(folder) < before * 0.75, "the dead bytes are freed", 20)
    allowed = segment + (1 << 20)  # and its indexes
    check(most - before <= allowed, f"cleaning took {most - before} bytes on top of {before}, "
          f"more than {allowed} (seed {seed})")
    context.note(f"{before >> 20} MiB before, at most {(most - before) / (1 << 20):+.1f} MiB while "
                 f"cleaning, {used_bytes(folder) >> 20} MiB after; {samples} samples; seed {seed}")


def used_bytes(folder) -> int:
    """Bytes on disk of what is in a directory right now (not the holes of preallocated files)."""
    total = 0
    for entry in os.scandir(folder):
        try:
            total += entry.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
