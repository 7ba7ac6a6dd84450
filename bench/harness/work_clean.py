"""Works A, B and C (and E, the restore behind each): one cleaning of a topic that was never cleaned.

A2 and C2 are A and C with two partitions of half the size and two cleaner threads. The column "nothing" is Lastword
without key indexes: the topic has cleanup.policy=delete until the clock starts, so nothing has been built for it.
"""

import dataclasses

from . import cleaning, limit, process
from .cleaning import Input
from .work import Options, Work, kind


@dataclasses.dataclass(frozen=True)
class Recipe:
    records: int
    keys: int
    value_bytes: int
    codec: str = "none"
    threads: int = 1


RECIPES = {
    "A": Recipe(4_000_000, 500_000, 200),
    "B": Recipe(4_000_000, 500_000, 200, codec="lz4"),
    # 20 M draws hit 12.6 M of 20 M keys: more than Kafka's map holds.
    "C": Recipe(20_000_000, 20_000_000, 60),
}
SECONDS = {"A": (30, 15), "B": (35, 20), "C": (110, 45)}


def works() -> list[Work]:
    found = []
    for name, recipe in RECIPES.items():
        kafka, lastword = SECONDS[name]
        columns = {"kafka": kafka, "lastword": lastword}
        if name != "B":
            columns["nothing"] = lastword
        found.append(_work(name, recipe, columns))
        if name != "B":
            found.append(_work(f"{name}2", dataclasses.replace(recipe, threads=2), columns))
    return found


def _work(name: str, recipe: Recipe, columns: dict[str, float]) -> Work:
    return Work(name, lambda scale: _title(recipe, scale), columns, lambda column, it: clean(name, recipe, column, it))


def source(recipe: Recipe, scale: float) -> Input:
    records, keys = cleaning.scaled(recipe.records, scale), cleaning.scaled(recipe.keys, scale)
    codec = (f"compression.type={recipe.codec}",)
    return Input(f"{records}xuniform:{keys}", recipe.value_bytes, recipe.threads, codec)


def _title(recipe: Recipe, scale: float) -> str:
    records, keys = cleaning.scaled(recipe.records, scale), cleaning.scaled(recipe.keys, scale)
    codec = "uncompressed" if recipe.codec == "none" else recipe.codec
    partitions = "" if recipe.threads == 1 else f"{recipe.threads} partitions, "
    return (
        f"clean {records:,} records drawn from {keys:,} keys, {recipe.value_bytes} B values, {codec}, {partitions}"
        f"{cleaning.setting(scale, recipe.threads)}"
    )


def clean(name: str, recipe: Recipe, column: str, options: Options) -> dict[str, float]:
    """Fills a topic, cleans it, copies what survived, and reads it back."""
    stream, records = source(recipe, options.scale), cleaning.scaled(recipe.records, options.scale)
    broker = cleaning.start(kind(column), name, options.scale, recipe.threads)
    try:
        held_back = ("cleanup.policy=delete",) if column == "nothing" else cleaning.HELD_BACK
        cleaning.create(broker, options.scale, *held_back, partitions=recipe.threads)
        figures = cleaning.fill(broker, stream)
        limit_seconds = options.kafka_limit_seconds if column == "kafka" else cleaning.LIMIT_SECONDS
        try:
            figures |= cleaning.let_loose(broker, limit_seconds, recipe.threads)
        except cleaning.TooSlow as error:
            if column != "kafka":
                raise
            return figures | {"clean_over_s": error.seconds, "records": records}
        figures["clean_us_per_record"] = figures["clean_wall_s"] * 1e6 / records
        if recipe.threads == 1:
            figures |= limit.copy_and_sync(cleaning.tail_files(broker))
            figures["limit_ratio"] = figures["clean_wall_s"] / figures["limit_median_s"]
        figures |= cleaning.drain(broker, stream)
        figures["peak_mib"] = process.memory_mib(broker.child.pid)["VmHWM"]
        return figures
    finally:
        broker.remove()
