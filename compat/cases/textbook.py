"""The textbook log: keys at offsets 13, 17, 19 to 28, and what one more cleaning leaves of it.

    before   13 17 19 20 21 22 23 24 25 26 27 28
             K1 K5 K2 K7 K8 K4 K1 K1 K1 K9 K8 K2
    after       17    20    22       25 26 27 28
"""

import time

from harness.case import case, equal
from harness.kcat import read
from harness.records import Record, batch

LAYOUT = [(13, "K1"), (17, "K5"), (19, "K2"), (20, "K7"), (21, "K8"), (22, "K4"), (23, "K1"),
          (24, "K1"), (25, "K1"), (26, "K9"), (27, "K8"), (28, "K2")]
CLEANED = [(17, "K5"), (20, "K7"), (22, "K4"), (25, "K1"), (26, "K9"), (27, "K8"), (28, "K2")]
NEVER, ALWAYS = {"min.cleanable.dirty.ratio": 1}, {"min.cleanable.dirty.ratio": 0}


def key_at(offset: int) -> str:
    """The key of the layout, or before it that of the next record: superseded by it at once."""
    return next(key for at, key in LAYOUT if at >= offset)


@case("textbook", seconds=120)
def textbook(context):
    broker = context.start_broker({"log.cleaner.backoff.ms": 50})
    now = int(time.time() * 1000)

    def one(offset: int, key: str) -> bytes:
        return batch([Record(key.encode(), b"at %02d" % offset)], now + offset)

    size = len(one(0, "K1"))
    # 20 batches fill a segment, so offset 20 rolls it; the smaller limit set later makes 29 roll.
    topic = context.create_topic(on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 20 * size, **NEVER})

    def append(offsets) -> None:
        with broker.connect() as connection:
            for offset in offsets:
                key = "K0" if offset > 28 else key_at(offset)
                found = connection.produce(topic, one(offset, key))
                equal((found.error, found.base_offset), (0, offset), "answer to a produce")

    def rows():
        return [(r.offset, r.key) for r in read(context, topic, on=broker)]

    append(range(21))
    context.set_topic_configs(topic, ALWAYS, on=broker)
    context.wait_until(lambda: rows() == LAYOUT[:4], "offsets 13, 17 and 19 are left of 0 to 19", 30)
    context.set_topic_configs(topic, NEVER, on=broker)
    append(range(21, 29))
    equal(rows(), LAYOUT, "the log before the last cleaning")
    fetches_return(context, topic, broker, {13: 13, 18: 19, 19: 19, 24: 24})

    context.set_topic_configs(topic, {"internal.segment.bytes": 9 * size, **ALWAYS}, on=broker)
    append([29])
    wanted = [*CLEANED, (29, "K0")]
    context.wait_until(lambda: rows() == wanted, "only the last word on every key is left", 30)
    fetches_return(context, topic, broker, {13: 17, 18: 20, 19: 20, 24: 25, 0: 17, 29: 29})
    values = [r.value for r in read(context, topic, on=broker)]
    equal(values, ["at %02d" % offset for offset, _ in wanted], "values after the last cleaning")

    broker.stop()
    broker.start()
    equal(rows(), wanted, "the log after a restart")


def fetches_return(context, topic, broker, wanted: dict[int, int]) -> None:
    """A fetch at an offset that is gone answers with the next one that exists."""
    for asked, answer in wanted.items():
        row = read(context, topic, "-o", str(asked), "-c", "1", on=broker)[0]
        equal((row.offset, row.value), (answer, "at %02d" % answer), f"fetch at {asked}")
