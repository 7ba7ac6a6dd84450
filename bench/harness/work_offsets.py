"""Works `offsets` and `offsets_once`: loading 1 M offset records of `__consumer_offsets`, before and after cleaning.

Commits go over the wire, so each broker makes its own batches: 10,000 groups without members, ten partitions (or a
hundred) to a commit. Each start's time of loading is taken from the broker's own log, and afterwards every offset is
fetched and compared. The topic is Kafka's default: 50 partitions, and one segment each, which is never cleaned; for the
second half they are rolled by a segment.ms of 1 ms and one more commit to each.
"""

import os
import re
import threading
import time
from datetime import datetime

from . import cleaning, process
from .brokers import Broker
from .peer import Peer
from .process import Failed
from .work import Options, Work

OFFSETS = "__consumer_offsets"
GROUPS = 10_000
CONNECTIONS = 32


def works() -> list[Work]:
    def title(what):
        return lambda scale: f"loading {_groups(scale) * 100:,} offset records of {_groups(scale):,} groups, {what}"

    return [
        Work(
            "offsets",
            title("each offset committed ten times (10 partitions to a commit)"),
            {"kafka": 25, "lastword": 12},
            lambda kind, options: _measure(kind, options, partitions=10, rounds=10),
        ),
        Work(
            "offsets_once",
            title("each offset committed once (100 partitions to a commit)"),
            {"kafka": 25, "lastword": 8},
            lambda kind, options: _measure(kind, options, partitions=100, rounds=1),
        ),
    ]


def _groups(scale: float) -> int:
    return max(int(GROUPS * scale), 500)


def _measure(kind: str, options: Options, partitions: int, rounds: int) -> dict[str, float]:
    groups = _groups(options.scale)
    broker = Broker(kind, "offsets", {"log.cleaner.backoff.ms": "100"})
    try:
        broker.start()
        cleaning.topics(broker, "create", cleaning.TOPIC, str(partitions))
        begin = time.monotonic()
        names = [f"group-{number:06}" for number in range(groups)]
        for turn in range(rounds):
            _ask(broker, names, lambda peer, group: _commit(peer, group, partitions, turn))
        took = time.monotonic() - begin
        figures = {"commit_records_s": groups * partitions * rounds / took}
        figures |= _restart(broker, "before")
        turns = dict.fromkeys(names, rounds - 1)
        _check(broker, partitions, turns)
        rolling = _one_for_each_partition(names, len(cleaning.partition_dirs(broker, OFFSETS)))
        _clean(broker, rolling, partitions, rounds)
        figures |= _restart(broker, "after")
        _check(broker, partitions, turns | dict.fromkeys(rolling, rounds))
        return figures
    finally:
        broker.remove()


# Writing and checking


def _ask(broker: Broker, groups: list[str], ask) -> None:
    """Asks something for each group, one request at a time on each of some connections."""
    failures: list[Exception] = []

    def work(first: int) -> None:
        try:
            with Peer(broker.port) as peer:
                for group in groups[first::CONNECTIONS]:
                    ask(peer, group)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failed(f"{broker.kind}: {failures[0]}") from failures[0]


def _offset(group: str, partition: int, turn: int) -> int:
    return int(group[-6:]) * 1_000 + partition + turn * 1_000_000_000


def _commit(peer: Peer, group: str, partitions: int, turn: int) -> None:
    """The first coordinator request creates the topic, so that is waited for."""
    offsets = {partition: _offset(group, partition, turn) for partition in range(partitions)}
    deadline = time.monotonic() + 60
    while True:
        errors = peer.commit_offsets(group, cleaning.TOPIC, offsets)
        if not any(errors):
            return
        if not set(errors) <= {0, 14, 15, 16} or time.monotonic() > deadline:
            raise Failed(f"a commit for {group} was answered with {sorted(set(errors))}")
        peer.find_coordinator(group)
        time.sleep(0.05)


def _check(broker: Broker, partitions: int, turns: dict[str, int]) -> None:
    """Every group has the offsets of its last turn."""

    def check(peer: Peer, group: str) -> None:
        found = peer.fetch_offsets(group, cleaning.TOPIC, range(partitions))
        wrong = [it for it in range(partitions) if found.get(it) != _offset(group, it, turns[group])]
        if wrong:
            raise Failed(f"{group}, partition {wrong[0]}: offset {found.get(wrong[0])} after loading")

    _ask(broker, list(turns), check)


# Cleaning and loading


def _one_for_each_partition(groups: list[str], count: int) -> list[str]:
    """A group in each partition of the topic, by the hash that Kafka uses: that of Java's String, without its sign."""
    found: dict[int, str] = {}
    for group in groups:
        number = 0
        for letter in group:
            number = (number * 31 + ord(letter)) & 0xFFFFFFFF
        found.setdefault(min(number, (1 << 32) - number) % count, group)
    if len(found) < count:
        raise Failed(f"{len(groups)} groups are in {len(found)} of {count} partitions")
    return list(found.values())


def _clean(broker: Broker, rolling: list[str], partitions: int, turn: int) -> None:
    cleaning.topics(broker, "alter", OFFSETS, "segment.ms=1")
    _ask(broker, rolling, lambda peer, group: _commit(peer, group, partitions, turn))
    directories = cleaning.partition_dirs(broker, OFFSETS)
    begin = time.monotonic()
    cleaning.topics(broker, "alter", OFFSETS, "min.cleanable.dirty.ratio=0.001", "segment.ms=604800000")
    while True:
        clean = cleaning.first_dirty_offsets(broker, OFFSETS)
        active = [_active_segment(it) for it in directories]
        behind = [number for number, end in enumerate(active) if clean.get(number, 0) < end]
        if not behind:
            return
        if time.monotonic() - begin > 300:
            raise Failed(f"{broker.kind}: partitions {behind} of {OFFSETS} were not cleaned")
        time.sleep(0.05)


def _active_segment(directory: str) -> int:
    return max(int(name[:20]) for name in os.listdir(directory) if name.endswith(".log"))


def _restart(broker: Broker, when: str) -> dict[str, float]:
    broker.stop()
    size = sum(cleaning.log_bytes(it) for it in cleaning.partition_dirs(broker, OFFSETS))
    mark = broker.log_size()
    broker.start()
    seconds, records = _loaded(broker, mark)
    return {
        f"load_{when}_s": seconds,
        f"load_{when}_records": records,
        f"load_{when}_mb": size / 1e6,
        f"load_{when}_rss_mib": process.memory_mib(broker.child.pid)["VmRSS"],
    }


def _loaded(broker: Broker, mark: int) -> tuple[float, int]:
    """Lastword's one line; of Kafka, from the first partition that is scheduled to the last that is finished."""
    deadline = time.monotonic() + 300
    partitions = len(cleaning.partition_dirs(broker, OFFSETS))
    while time.monotonic() < deadline:
        text = broker.log_text(mark)
        if broker.kind == "lastword":
            line = re.search(r"loaded groups .*", text)
            if line:
                fields = dict(re.findall(r"(\w+)=(\d+)", line.group(0)))
                return int(fields["elapsed_ms"]) / 1000, int(fields["records"])
        else:
            begun = re.findall(r"^\[(.+?)\].*Scheduling loading of metadata from __consumer_offsets-", text, re.M)
            finished = r"^\[(.+?)\].*Finished loading of metadata from __consumer_offsets-.*Loaded (\d+) records"
            done = re.findall(finished, text, re.M)
            if len(done) >= partitions:
                records = sum(int(each) for _, each in done)
                return max(_moment(done[-1][0]) - _moment(begun[0]), 0.001), records
        time.sleep(0.05)
    raise Failed(f"{broker.kind} did not say that it loaded {OFFSETS}\n{broker.log_text(mark)[-3000:]}")


def _moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp()
