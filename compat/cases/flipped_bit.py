"""One flipped bit on disk: reported, never laundered into a valid checksum. Lastword only.

Kafka's cleaner copies such a record into a new batch with a fresh checksum.
"""

import re

from harness.case import case, check, equal
from harness.kcat import produce, read
from harness.records import parse_batches

NEVER, ALWAYS = {"min.cleanable.dirty.ratio": 1}, {"min.cleanable.dirty.ratio": 0.01}
REPORT = re.compile(r"corrupt|crc|checksum", re.IGNORECASE)


@case("flipped_bit", seconds=90, targets=("lastword",))
def flipped_bit(context):
    context.leaves_sound_files = False
    broker = context.start_broker({
        "log.cleaner.backoff.ms": 50, "log.segment.delete.delay.ms": 0})
    sick = context.create_topic("sick", on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 16 << 10, **NEVER})
    healthy = context.create_topic("healthy", on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 16 << 10, **NEVER})
    for topic in (sick, healthy):
        lines = [f"key-{i % 50}:value {i} {'x' * 80}" for i in range(1000)]
        lines[77] = "marked:MARKED-VALUE-" + "m" * 80
        produce(context, topic, lines, "-X", "batch.num.messages=20", on=broker)
    broker.stop()
    flip(broker, sick)
    broker.start()

    # A fetch says so, or hands out the bytes as they are for the client's own check to refuse.
    with broker.connect() as connection:
        answer = connection.fetch(sick, 77, max_bytes=1 << 20)
    broken = [b for b in answer.batches() if b.base_offset <= 77 <= b.last_offset]
    check(answer.error != 0 or (broken and not broken[0].crc_valid),
          f"the fetch at 77 answered error {answer.error} and a batch with a valid checksum")
    # What comes after the bad batch is still there.
    rows = read(context, sick, "-o", "200", "-c", "10", on=broker)
    equal([r.offset for r in rows], list(range(200, 210)), "a fetch after the bad batch")

    said_before = len(broker.said())
    for topic in (sick, healthy):
        context.set_topic_configs(topic, ALWAYS, on=broker)
    context.wait_cleaned(broker, healthy, seconds=20)
    context.wait_until(lambda: REPORT.search(broker.said()[said_before:]),
                       "the log of the broker speaks of the corrupt segment", 20)
    laundered = [b.base_offset for file in broker.partition_dir(sick).glob("*.log")
                 for b in parse_batches(file.read_bytes())
                 if b.crc_valid and b"mARKED-VALUE-" in b.payload]
    equal(laundered, [], "batches with the flipped record under a valid checksum")
    kept = any(b"ARKED-VALUE-" in file.read_bytes()
               for file in broker.partition_dir(sick).glob("*.log"))
    check(kept, "the bad batch was dropped instead of isolated")
    produce(context, sick, ["after:1"], on=broker)


def flip(broker, topic: str) -> None:
    """M becomes m in the marked value: the record stays readable, the checksum does not."""
    for file in sorted(broker.partition_dir(topic).glob("*.log")):
        raw = bytearray(file.read_bytes())
        at = raw.find(b"MARKED-VALUE-")
        if at >= 0:
            raw[at] ^= 0x20
            file.write_bytes(raw)
            return
    check(False, "the marked value is in no segment")
