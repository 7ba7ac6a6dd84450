"""A directory that real Kafka wrote, served by Lastword with the same records. Lastword only."""

from harness.broker import copy_directory
from harness.case import case, check, equal
from harness.kcat import kcat, produce

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@case("takeover_of_a_kafka_directory", seconds=180, targets=("lastword",))
def takeover_of_a_kafka_directory(context):
    kafka = context.start_broker({
        "log.cleaner.backoff.ms": 50, "log.segment.delete.delay.ms": 0}, target="kafka")
    topics = []
    for codec in CODECS:
        topic = context.create_topic(codec, partitions=2, on=kafka, configs={
            "cleanup.policy": "compact", "internal.segment.bytes": 32 << 10,
            "min.cleanable.dirty.ratio": 0.01})
        for partition in ("0", "1"):
            lines = [f"key-{i % 60}:" + ("" if i % 13 == 0 else f"{i} {'x' * (i % 150)}")
                     for i in range(3000)]
            produce(context, topic, lines, "-p", partition, "-z", codec, "-H", "origin=kafka",
                    "-X", "enable.idempotence=true", "-X", "batch.num.messages=100", on=kafka)
        context.wait_cleaned(kafka, topic)
        topics.append(topic)
    plain = context.create_topic("group", on=kafka)
    context.java("commit_some", plain, context.topic("members"), on=kafka)
    wanted = context.java("dump_records", *topics, on=kafka)
    check(len(wanted.splitlines()) > 500, "Kafka itself dumped hardly anything")
    kafka.stop()

    copy = context.folder / "copy"
    copy_directory(kafka.data, copy)
    lastword = context.start_broker({"log.cleanup.policy": "compact"}, data=copy)
    found = context.java("dump_records", *topics, on=lastword)
    same_lines(found.splitlines(), wanted.splitlines())
    # A group goes on where it committed on Kafka, and a producer where the log ended.
    context.java("committed_is", plain, context.topic("members"), on=lastword)
    produce(context, topics[0], ["after:takeover"], "-p", "0", on=lastword)
    last = kcat(context, "-C", "-t", topics[0], "-p", "0", "-o", "-1", "-c", "1", "-f", "%k=%s",
                on=lastword).out
    equal(last, "after=takeover", "the record produced after the takeover")
    context.note(f"{len(wanted.splitlines())} records in {len(CODECS)} codecs")


def same_lines(found: list[str], wanted: list[str]) -> None:
    for number, (one, other) in enumerate(zip(found, wanted)):
        equal(one, other, f"record {number} (partition, offset, timestamp, key, value, headers)")
    equal(len(found), len(wanted), "records")
