"""A directory that real Kafka wrote, served by Lastword with the same topics, configs, records; and back again.

Case 60 of the numbered ones, both ways. Lastword only.
"""

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
        for partition in (0, 1):
            context.wait_cleaned(kafka, topic, partition)
        topics.append(topic)
    # A change of a setting, and the policy that keeps everything.
    context.set_topic_configs(topics[0], {"delete.retention.ms": 123456789,
                                          "cleanup.policy": "compact,delete",
                                          "retention.ms": -1}, on=kafka)
    context.set_topic_configs(topics[1], {"cleanup.policy": ""}, on=kafka)
    plain = context.create_topic("group", on=kafka)
    context.java("commit_some", plain, context.topic("members"), on=kafka)
    wanted = context.java("dump_records", *topics, on=kafka)
    check(len(wanted.splitlines()) > 500, "Kafka itself dumped hardly anything")
    configs = {topic: own_configs(context, kafka, topic) for topic in [*topics, plain]}
    check("delete.retention.ms=123456789" in configs[topics[0]], f"Kafka itself has {configs}")
    check("cleanup.policy=compact" in configs[topics[2]], f"Kafka itself has {configs}")
    ids = topic_ids(context, kafka)
    kafka.stop()

    copy = context.folder / "copy"
    copy_directory(kafka.data, copy)
    # No default of the broker's says that the topics are compacted: their own configs do.
    lastword = context.start_broker({"log.cleaner.backoff.ms": 50}, data=copy)
    for topic, wanted_configs in configs.items():
        equal(own_configs(context, lastword, topic), wanted_configs, f"configs of {topic}")
    equal(topic_ids(context, lastword), ids, "topics, their ids and partition counts")
    found = context.java("dump_records", *topics, on=lastword)
    same_lines(found.splitlines(), wanted.splitlines())
    # A group goes on where it committed on Kafka, and a producer where the log ended.
    context.java("committed_is", plain, context.topic("members"), on=lastword)
    produce(context, topics[0], ["after:takeover"], "-p", "0", on=lastword)
    last = kcat(context, "-C", "-t", topics[0], "-p", "0", "-o", "-1", "-c", "1", "-f", "%k=%s",
                on=lastword).out
    equal(last, "after=takeover", "the record produced after the takeover")

    # Kafka serves what Lastword has written and cleaned, with the files that it does not know beside it.
    lines = [f"key-{i % 60}:lastword {i}" for i in range(3000)]
    produce(context, topics[2], lines, "-p", "0", "-X", "enable.idempotence=true",
            "-X", "batch.num.messages=100", on=lastword)
    context.wait_cleaned(lastword, topics[2], 0)
    wanted = context.java("dump_records", *topics, on=lastword)
    check(len(list(lastword.partition_dir(topics[2]).glob("*.keyindex"))) > 0, "no key index")
    lastword.stop()
    kafka.data = copy
    kafka.start()
    equal(topic_ids(context, kafka), ids, "topics, their ids and partition counts, on Kafka again")
    found = context.java("dump_records", *topics, on=kafka)
    same_lines(found.splitlines(), wanted.splitlines())
    context.note(f"{len(wanted.splitlines())} records in {len(CODECS)} codecs")


def own_configs(context, broker, topic: str) -> list[str]:
    """The topic's settings of its own, as Kafka's tool shows them."""
    out = context.tool("kafka.admin.ConfigCommand", "--bootstrap-server", broker.bootstrap,
                       "--describe", "--entity-type", "topics", "--entity-name", topic).out
    # `  cleanup.policy=compact sensitive=false synonyms={...}` behind a headline.
    lines = [line.split(" sensitive=", 1)[0].strip() for line in out.splitlines()[1:]]
    return sorted(line for line in lines if line)


def topic_ids(context, broker) -> list[tuple]:
    """Name, id and partition count of every topic, as Kafka's tool shows them."""
    out = context.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server",
                       broker.bootstrap, "--describe").out
    heads = [line.split("\t") for line in out.splitlines() if line.startswith("Topic:")]
    return sorted(tuple(part.strip() for part in head[:3]) for head in heads)


def same_lines(found: list[str], wanted: list[str]) -> None:
    for number, (one, other) in enumerate(zip(found, wanted)):
        equal(one, other, f"record {number} (partition, offset, timestamp, key, value, headers)")
    equal(len(found), len(wanted), "records")
