"""Works D, hot and spread: a log is cleaned, updated, and cleaned a second time. Only the second round is measured.

Which segments hold a dead record is counted by a consumer that reads the log before the second round
(java/Dead.java); which files stayed is told by their inodes. Neither asks the broker.
"""

import json

from . import cleaning, process
from .brokers import java
from .cleaning import Input
from .work import Options, Work, kind

HELD_BACK_AGAIN = ("min.cleanable.dirty.ratio=1.0",)


def works() -> list[Work]:
    seconds = {"kafka": 50, "lastword": 30}
    return [
        Work("D", _title_d, seconds, lambda column, it: _second_round("D", _d(it.scale), column, it)),
        Work("hot", _title_hot, seconds, lambda column, it: _second_round("hot", _hot("hotnew", it.scale), column, it)),
        Work("spread", _title_spread, seconds, lambda column, it: _second_round("spread", _hot("hot", it.scale), column, it)),
    ]


def _d(scale: float) -> tuple[str, str, int]:
    """The first phases, the second round, and the keys' upper bound."""
    keys = cleaning.scaled(500_000, scale)
    return f"{cleaning.scaled(4_000_000, scale)}xuniform:{keys}", f"{cleaning.scaled(200_000, scale)}xuniform:{keys}", keys


def _hot(draw: str, scale: float) -> tuple[str, str, int]:
    # With new keys in both rounds: what the first leaves in the active segment must not touch old segments either.
    keys, hot, updates = _hot_sizes(scale)
    return f"{keys}xeach:{keys}+{updates}x{draw}:{keys}:{hot}", f"{updates}x{draw}:{keys}:{hot}", keys + 2 * updates


def _hot_sizes(scale: float) -> tuple[int, int, int]:
    keys, updates = cleaning.scaled(4_000_000, scale), cleaning.scaled(1_000_000, scale)
    return keys, keys // 100, updates


def _title_d(scale: float) -> str:
    return (
        f"second round: {cleaning.scaled(200_000, scale):,} more updates on the clean log of A, "
        f"{cleaning.setting(scale)}"
    )


def _title_hot(scale: float) -> str:
    return f"hot keys, second round: {_hot_words(scale)}; every tenth update is a new key"


def _title_spread(scale: float) -> str:
    return f"hot keys, second round: {_hot_words(scale)}; every tenth update is any key, so every segment has a dead record"


def _hot_words(scale: float) -> str:
    keys, hot, updates = _hot_sizes(scale)
    return (
        f"{keys:,} keys and {updates:,} updates cleaned, {updates:,} more updates, 90 % of all updates on {hot:,} keys, "
        f"200 B values, {cleaning.setting(scale)}"
    )


def _second_round(name: str, rounds: tuple[str, str, int], column: str, options: Options) -> dict[str, float]:
    first, second, key_bound = rounds
    whole = Input(f"{first}+{second}", 200)
    broker = cleaning.start(kind(column), name, options.scale)
    try:
        cleaning.create(broker, options.scale, *cleaning.HELD_BACK)
        cleaning.fill(broker, Input(first, 200))
        cleaning.let_loose(broker, cleaning.LIMIT_SECONDS)
        cleaning.topics(broker, "alter", cleaning.TOPIC, *HELD_BACK_AGAIN)
        figures = cleaning.fill(broker, whole, skip=sum(int(phase.split("x")[0]) for phase in first.split("+")))
        directory = cleaning.partition_dirs(broker, cleaning.TOPIC)[0]
        before = cleaning.segments(directory)
        bases = sorted(before)
        command = java("Dead", broker.address, cleaning.TOPIC, str(key_bound), ",".join(map(str, bases)))
        dead = dict(zip(bases, json.loads(process.call(command, 600))))
        figures |= cleaning.let_loose(broker, cleaning.LIMIT_SECONDS)
        after = {stat.st_ino for stat in cleaning.segments(directory).values()}
        dying = [base for base, records in dead.items() if records]
        living = [base for base, records in dead.items() if not records]
        dying_bytes = sum(before[base].st_size for base in dying)
        figures |= {
            "dead_segments": len(dying),
            "dead_segments_mb": dying_bytes / 1e6,
            "written_per_dead_segment": figures["clean_written_mb"] * 1e6 / max(dying_bytes, 1),
            "live_segments": len(living),
            "kept_segments": sum(before[base].st_ino in after for base in living),
        }
        del figures["written_per_survivor"]
        return figures | cleaning.drain(broker, whole)
    finally:
        broker.remove()
