"""Work restore: what a consumer pays that rebuilds its state from a cleaned log of small compressed batches.

A's records, written with the producer's default batch size (16 KiB) and lz4: after a cleaning about one record in eight
is left in each batch. Lastword runs twice, without and with re-batching of the tail.
"""

import json
import statistics

from . import cleaning, process
from .brokers import java
from .cleaning import Input
from .process import Failed
from .work import Options, Work, kind

DRAINS = 3


def works() -> list[Work]:
    return [Work("restore", _title, {"kafka": 50, "apart": 35, "lastword": 35}, _run)]


def _sizes(scale: float) -> tuple[int, int]:
    return cleaning.scaled(4_000_000, scale), cleaning.scaled(500_000, scale)


def _title(scale: float) -> str:
    records, keys = _sizes(scale)
    return (
        f"restore from a cleaned log: {records:,} records drawn from {keys:,} keys, 200 B values, batches of 16 KiB, lz4, "
        f"{cleaning.setting(scale)}; median of {DRAINS} restores"
    )


def _run(column: str, options: Options) -> dict[str, float]:
    records, keys = _sizes(options.scale)
    source = Input(f"{records}xuniform:{keys}", 200, producer=("batch.size=16384", "compression.type=lz4"))
    broker = cleaning.start(kind(column), "restore", options.scale)
    try:
        configs = ("lastword.compaction.rebatch=false",) if column == "apart" else ()
        cleaning.create(broker, options.scale, *cleaning.HELD_BACK, *configs)
        figures = cleaning.fill(broker, source)
        figures |= cleaning.let_loose(broker, cleaning.LIMIT_SECONDS)
        drained = [cleaning.drain(broker, source) for _ in range(DRAINS)]
        figures |= {name: statistics.median(it[name] for it in drained) for name in drained[0]}
        return figures | {"dumped_batches": _dump(cleaning.tail_files(broker))}
    finally:
        broker.remove()


def _dump(files: list[str]) -> int:
    """Kafka's own DumpLogSegments over the cleaned part; returns the batches it finds valid."""
    command = java("org.apache.kafka.tools.DumpLogSegments", "--files", ",".join(files), "--deep-iteration")
    lines = process.call(command, 900).splitlines()
    batches = [line for line in lines if line.startswith("baseOffset:")]
    invalid = [line for line in batches if "isvalid: true" not in line]
    if invalid or not batches:
        raise Failed(f"DumpLogSegments finds {len(invalid)} bad batches of {len(batches)}: {json.dumps(invalid[:1])}")
    return len(batches)
