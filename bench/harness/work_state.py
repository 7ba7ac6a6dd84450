"""Work state: what a consumer pays that restores from a cleaned tail and a head of which half is superseded.

A's records are cleaned. Then as many records as A has keys are written, half of which a later one of them supersedes, and the
cleaner is held back. The same consumer reads Kafka's topic, Lastword's, and Lastword's TOPIC@state. A live byte is one of
the key or the value of a record that is the last word on its key.
"""

import statistics

from . import cleaning, process
from .cleaning import Input
from .work import Options, Work, kind
from .work_rounds import HELD_BACK_AGAIN

DRAINS = 5


def works() -> list[Work]:
    return [Work("state", _title, {"kafka": 45, "lastword": 30, "state": 30}, _run)]


def _sizes(scale: float) -> tuple[int, int, int]:
    """Records and keys of A, and the keys from which the head is drawn: so many that half of the draws hit one again."""
    keys = cleaning.scaled(500_000, scale)
    return cleaning.scaled(4_000_000, scale), keys, int(keys / 1.5936)


def _title(scale: float) -> str:
    records, keys, _ = _sizes(scale)
    return (
        f"restore with a head: {records:,} records drawn from {keys:,} keys, 200 B values, cleaned, then {keys:,} records of "
        f"which half are superseded by another of them, {cleaning.setting(scale)}; median of {DRAINS} restores"
    )


def _run(column: str, options: Options) -> dict[str, float]:
    records, keys, head_keys = _sizes(options.scale)
    first = f"{records}xuniform:{keys}"
    whole = Input(f"{first}+{keys}xuniform:{head_keys}", 200)
    broker = cleaning.start(kind(column), "state", options.scale)
    try:
        cleaning.create(broker, options.scale, *cleaning.HELD_BACK)
        cleaning.fill(broker, Input(first, 200))
        cleaned = cleaning.let_loose(broker, cleaning.LIMIT_SECONDS)
        cleaning.topics(broker, "alter", cleaning.TOPIC, *HELD_BACK_AGAIN)
        cleaning.fill(broker, whole, skip=records)
        directory = cleaning.partition_dirs(broker, cleaning.TOPIC)[0]
        topic = f"{cleaning.TOPIC}@state" if column == "state" else cleaning.TOPIC
        cpu = process.cpu_seconds(broker.child.pid)
        drained = [cleaning.drain(broker, whole, topic) for _ in range(DRAINS)]
        cpu = (process.cpu_seconds(broker.child.pid) - cpu) / DRAINS
        figures = {name: statistics.median(it[name] for it in drained) for name in drained[0]}
        return {
            "tail_after_mb": cleaned["tail_after_mb"],
            "log_mb": cleaning.log_bytes(directory) / 1e6,
            "live_mb": figures["live_mb"],
            "restore_s": figures["restore_s"],
            "restore_first_s": drained[0]["restore_s"],
            "restore_mb": figures["restore_mb"],
            "restore_per_live": figures["restore_mb"] / figures["live_mb"],
            "restore_records": figures["records_after"],
            "restore_cpu_s": cpu,
            "peak_mib": process.memory_mib(broker.child.pid)["VmHWM"],
        }
    finally:
        broker.remove()
