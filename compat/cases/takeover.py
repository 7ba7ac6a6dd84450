"""A directory that real Kafka wrote, served by Lastword with the same topics, configs, records; and back again.

Case 60 of the numbered ones, both ways; and applications that go on there: Streams, Connect, a group. Lastword only.
"""

import time

from cases.connect import Lines, Worker, lines_in, position
from cases.dump_log_segments import SUFFIXES, complaints, dump
from cases.streams import BROKER, CLASSES, EOS, SHORT, App, Words, restored, wait_all_cleaned
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


PLAIN = "plain"
COPIED = "copied"


@case("takeover_of_running_applications", seconds=300, targets=("lastword",), is_long=True)
def takeover_of_running_applications(context):
    """Streams with exactly-once, Connect and a group work on Kafka, stop, and go on where they were on a copy."""
    kafka = context.start_broker({**BROKER, "log.segment.delete.delay.ms": 0}, target="kafka")
    words = Words(context, kafka)
    app = App(context, kafka, "words", "words", EOS)
    words.classify(CLASSES)
    words.write(3)
    first = app.run()
    lines, sunk = Lines(context.folder / "lines.txt"), context.folder / "sunk.txt"
    with kafka.connect() as connection:
        connection.create_topic(COPIED)
        connection.create_topic(PLAIN)
    exactly_once = {"exactly.once.source.support": "enabled"}
    worker = Worker(context, kafka, 1, exactly_once)
    worker.rest("PUT", "/connectors/source/config", {
        "connector.class": "FileStreamSource", "file": str(lines.path), "topic": COPIED, "tasks.max": "1",
        "exactly.once.support": "required", "transaction.boundary": "poll"})
    worker.rest("PUT", "/connectors/sink/config", {
        "connector.class": "FileStreamSink", "file": str(sunk), "topics": COPIED, "tasks.max": "1",
        "consumer.override.isolation.level": "read_committed", "consumer.override.auto.offset.reset": "earliest"})
    for name in ("source", "sink"):
        context.wait_until(lambda: worker.running(name, {worker.id}), f"{name} runs", 60, 0.2)
    lines.append(1000)
    context.wait_until(lambda: lines_in(sunk) == lines.written, "the sink has the lines", 60, 0.2)
    context.wait_until(lambda: position(worker) == lines.path.stat().st_size, "the source offset is the end", 30, 0.2)
    kcat(context, "-P", "-t", PLAIN, on=kafka, stdin="".join(f"{number}\n" for number in range(100)))
    equal(read_group(context, kafka, 60), [str(number) for number in range(60)], "what the group read on Kafka")
    words.reached(app, first)
    first.end(30)
    worker.child.terminate(60)
    kafka.stop()

    copy = context.folder / "copy"
    copy_directory(kafka.data, copy)
    lastword = context.start_broker({**BROKER, "log.cleaner.backoff.ms": 50}, data=copy)
    words.broker = app.broker = lastword
    # The group goes on behind what it committed, the application with its local state, Connect with its three topics.
    equal(read_group(context, lastword, 40), [str(number) for number in range(60, 100)], "what the group read then")
    second = app.run()
    app.holds(dict(words.counts), second, store="words")
    app.holds(words.per_class(), second, store="classes-of-words")
    equal(second.said("AT"), [], "records processed again after the takeover")
    worker = Worker(context, lastword, 2, exactly_once)
    context.wait_until(lambda: sorted(worker.rest("GET", "/connectors")) == ["sink", "source"],
                       "the worker knows both connectors", 60, 0.2)
    for name in ("source", "sink"):
        context.wait_until(lambda: worker.running(name, {worker.id}), f"{name} runs again", 60, 0.2)
    words.classify({"work": "noun", "an": None})
    words.write(2)
    words.reached(app, second)
    lines.append(500)
    context.wait_until(lambda: lines_in(sunk) == lines.written, "the sink has the new lines, and no line twice", 60, 0.2)
    committed = kcat(context, "-C", "-t", COPIED, "-e", "-q", "-o", "beginning", "-X",
                     "isolation.level=read_committed", on=lastword).out.splitlines()
    equal(committed, lines.written, "the lines in the topic")

    # Cleaned by Lastword, the changelog that Kafka began gives the same state.
    time.sleep(1.1)
    words.write(1)
    words.reached(app, second)
    second.end(30)
    worker.child.terminate(60)
    changelog = app.changelog("words")
    context.set_topic_configs(changelog, SHORT, on=lastword)
    wait_all_cleaned(context, lastword, changelog, 3)
    app.wipe()
    third = app.run()
    app.holds(dict(words.counts), third, store="words")
    app.holds(words.per_class(), third, store="classes-of-words")
    equal(third.said("AT"), [], "records processed again after the state was wiped")
    check(restored(third, "words") >= len(words.counts), "the state did not come from the changelog")
    third.end(30)
    lastword.stop()

    files = sorted(file for file in copy.rglob("*") if file.suffix in SUFFIXES and file.stat().st_size > 0
                   and "__cluster_metadata-0" not in file.parts)
    out = dump(context, files, ["--deep-iteration"])
    trouble, batches = complaints(out), out.count("isvalid: true")
    check(not trouble, f"{len(trouble)} complaints, the first: {' / '.join(trouble[:3])}")
    check(batches > 100, f"only {batches} valid batches were seen")
    context.note(f"{sum(words.counts.values())} words, {len(lines.written)} lines; {restored(third, 'words')} records "
                 f"restored from the cleaned changelog; DumpLogSegments: {batches} batches in {len(files)} files")


def read_group(context, broker, count: int) -> list[str]:
    """So many records of the plain topic, read and committed by a group."""
    return kcat(context, "-G", "plain-group", "-q", "-c", str(count), "-X", "auto.offset.reset=earliest",
                PLAIN, on=broker).out.splitlines()
