"""Lastword only: the state view `TOPIC@state`, read by clients that know nothing of it.

Each reader of the view comes to the map that the topic itself folds to, and the bytes of both are compared. The topics
are never cleaned here: what is left out is left out while it is served.
"""

import random
import time

from harness.case import case, check, equal
from harness.kcat import kcat, produce, read
from cases.streams import BROKER, App, restored

ONLY_LASTWORD = ("lastword",)
# A head of several segments that stays one.
HEAD = {"cleanup.policy": "compact", "segment.bytes": 1 << 20, "min.cleanable.dirty.ratio": 1,
        "min.compaction.lag.ms": 3_600_000}
PARTITIONS = 2


def fold(rows) -> dict:
    state = {}
    for row in rows:
        state[row.key] = row.value
    return {key: value for key, value in state.items() if value is not None}


def write(context, topic: str, broker, count: int, keys: int, *arguments: str) -> None:
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    lines = [f"key-{draw.randrange(keys)}:" + (f"{i} {'x' * 150}" if draw.random() > 0.02 else "")
             for i in range(count)]
    produce(context, topic, lines, *arguments, on=broker)


@case("state_view_clients", seconds=120, targets=ONLY_LASTWORD)
def state_view_clients(context):
    """Java by both group protocols, librdkafka and franz-go; bytes in proportion to what is live."""
    broker = context.start_broker()
    topic = context.create_topic(partitions=PARTITIONS, configs=HEAD, on=broker)
    count = 20_000 if context.fast else 200_000
    write(context, topic, broker, count, count // 40)
    wanted = fold(read(context, topic, on=broker))
    for line in context.java("state_view_read", topic, "java", "read_committed", on=broker).splitlines():
        protocol, records, size, millis, view_records, view_size, view_millis, keys = line.split()
        equal(int(keys), len(wanted), f"keys by {protocol}")
        # Every key's last record, tombstones too, of which there are few.
        check(int(view_records) < 1.1 * len(wanted), f"{view_records} records of {keys} keys by {protocol}")
        # What belongs to a group and its metadata is a few KB.
        live_bytes = int(size) * len(wanted) / int(records)
        check(live_bytes / 2 < int(view_size) < 1.1 * live_bytes + 16_000, f"{view_size} of {size} bytes by {protocol}")
        context.note(f"{protocol}: {records} records of {size} bytes in {millis} ms, through the view {view_records} of "
                     f"{view_size} in {view_millis} ms")
    rows = read(context, f"{topic}@state", on=broker)
    equal(fold(rows), wanted, "what kcat reads through the view")
    check(len(rows) < 1.1 * len(wanted), f"{len(rows)} records for {len(wanted)} keys by kcat")
    grouped = kcat(context, "-G", "kcat", "-X", "auto.offset.reset=earliest", "-e", "-q", "-K", "\t",
                   f"{topic}@state", on=broker).out
    check(dict(line.split("\t") for line in grouped.splitlines() if not line.endswith("\t")) == wanted,
          "a group of kcat reads something else")
    found = context.franz("group_fold", f"{topic}@state", "franz", on=broker)
    check(dict(line.split("\t") for line in found.splitlines()) == wanted, "franz-go reads something else")


@case("state_view_transactions", seconds=60, targets=ONLY_LASTWORD)
def state_view_transactions(context):
    """read_committed through the view: aborted records supersede nothing and are not seen."""
    broker = context.start_broker()
    topic = context.create_topic(partitions=3, configs=HEAD, on=broker)
    context.java("transactions", topic, context.topic("group"), on=broker)
    for isolation in ("read_committed", "read_uncommitted"):
        level = ("-X", f"isolation.level={isolation}")
        plain, view = read(context, topic, *level, on=broker), read(context, f"{topic}@state", *level, on=broker)
        equal(fold(view), fold(plain), f"what kcat reads through the view, {isolation}")
        check(len(view) <= len(plain), f"{len(view)} records of {len(plain)}")
        context.note(f"{isolation}: {len(view)} of {len(plain)} records")


@case("state_view_refusals", seconds=60, targets=ONLY_LASTWORD)
def state_view_refusals(context):
    context.java("state_view_refusals", context.create_topic(partitions=PARTITIONS))


@case("state_view_global_table", seconds=60, targets=ONLY_LASTWORD)
def state_view_global_table(context):
    """A GlobalKTable over the view holds what the topic folds to, and what is written while it runs."""
    broker = context.start_broker(BROKER)
    table = context.create_topic("table", configs=HEAD, on=broker)
    count = 10_000 if context.fast else 100_000
    write(context, table, broker, count, count // 40)
    other = context.create_topic("other", on=broker)
    context.java("state_view_global_table", table, context.topic("global"), other, on=broker)


@case("state_view_changelog", seconds=180, targets=ONLY_LASTWORD)
def state_view_changelog(context):
    """A changelog with lastword.fetch.view=state is restored from fewer records and bytes, to the same state."""
    broker = context.start_broker(BROKER)
    count, keys = (20_000, 400) if context.fast else (100_000, 2000)
    for name in ("flights", "flights-per-plane"):
        with broker.connect() as connection:
            connection.create_topic(name, PARTITIONS)
    produce(context, "flights", [f"plane-{i % keys}:{i}" for i in range(count)], on=broker)
    wanted = {f"plane-{i}": count // keys for i in range(keys)}
    # Nothing of the changelog is cleaned, so all of it is there to be restored.
    app = App(context, broker, "flights", "counts", "topic.min.compaction.lag.ms=3600000",
              "topic.max.compaction.lag.ms=7200000", "topic.lastword.fetch.view=state")
    first = app.run()
    app.reaches(wanted, first, store="planes")
    first.end(30)

    def restore() -> tuple[int, int]:
        app.wipe()
        begin = time.monotonic()
        child = app.run()
        seconds = time.monotonic() - begin
        app.holds(wanted, child, store="planes")
        size = int(child.ask("fetched restore-consumer", "FETCHED ", 20))
        child.end(30)
        records = restored(child, "planes")
        context.note(f"{records} of {count} records restored, {size} bytes, running after {seconds:.1f} s")
        return records, size

    few, few_bytes = restore()
    check(keys <= few < 1.1 * keys, f"{few} records restored for {keys} keys")
    context.set_topic_configs(app.changelog("planes"), {"lastword.fetch.view": "log"}, on=broker)
    records, size = restore()
    equal(records, count, "records restored from the whole changelog")
    # Metadata and empty answers at the end are a few KB.
    check(few_bytes < size * 1.5 * keys / count + 32_000, f"{few_bytes} bytes of {size} for {keys} of {count} records")
