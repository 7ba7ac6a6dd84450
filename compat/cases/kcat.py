"""kcat 1.7 (librdkafka 2.0): metadata, every way to produce and to position a consumer."""

import json
import time

from harness.case import case, check, equal
from harness.kcat import kcat, produce, read


@case("kcat_metadata")
def kcat_metadata(context):
    topic = context.create_topic(partitions=3)
    found = json.loads(kcat(context, "-L", "-J").out)
    equal(len(found["brokers"]), 1, "brokers")
    equal(found["brokers"][0]["name"], context.broker.bootstrap, "advertised address")
    mine = [t for t in found["topics"] if t["topic"] == topic]
    equal(len(mine), 1, "topics of this name in the full list")
    equal(sorted(p["partition"] for p in mine[0]["partitions"]), [0, 1, 2], "partitions")
    leaders = {p["leader"] for p in mine[0]["partitions"]}
    equal(leaders, {found["brokers"][0]["id"]}, "leaders")
    one = json.loads(kcat(context, "-L", "-J", "-t", topic).out)
    equal([t["topic"] for t in one["topics"]], [topic], "metadata of one topic")


@case("kcat_keys_tombstones_headers")
def kcat_keys_tombstones_headers(context):
    topic = context.create_topic(configs={"cleanup.policy": "compact"})
    produce(context, topic, ["a:1", "b:2", "a:", "c:three"], "-H", "one=eins", "-H", "two=zwei")
    rows = read(context, topic)
    equal([(r.offset, r.key, r.value) for r in rows],
          [(0, "a", "1"), (1, "b", "2"), (2, "a", None), (3, "c", "three")], "records")
    equal({r.headers for r in rows}, {(("one", "eins"), ("two", "zwei"))}, "headers")
    now = time.time() * 1000
    check(all(abs(now - r.timestamp) < 60_000 for r in rows), "timestamps are not from now")


@case("kcat_codecs", seconds=120)
def kcat_codecs(context):
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        topic = context.create_topic(codec)
        lines = [f"key-{i % 50}:value-{i}-{'x' * 100}" for i in range(2000)]
        produce(context, topic, lines, "-z", codec)
        found = [f"{r.key}:{r.value}" for r in read(context, topic)]
        equal(found, lines, f"records through {codec}")


@case("kcat_offsets_and_timestamps")
def kcat_offsets_and_timestamps(context):
    topic = context.create_topic()
    produce(context, topic, [f"k{i}:v{i}" for i in range(10)])
    time.sleep(0.05)  # a gap in the clock between the two halves, not a wait for the broker
    produce(context, topic, [f"k{i}:v{i}" for i in range(10, 20)])
    rows = read(context, topic)
    equal(len(rows), 20, "records")
    equal([r.offset for r in read(context, topic, "-o", "7")], list(range(7, 20)), "-o 7")
    equal([r.offset for r in read(context, topic, "-o", "-3")], [17, 18, 19], "-o -3")
    equal(read(context, topic, "-o", "end"), [], "-o end")
    middle = rows[10].timestamp
    equal([r.offset for r in read(context, topic, "-o", f"s@{middle}")], list(range(10, 20)),
          "-o s@timestamp of record 10")
    equal([r.offset for r in read(context, topic, "-o", f"s@{rows[0].timestamp}",
                                  "-o", f"e@{middle}")], list(range(10)), "-o s@ -o e@")
    equal([r.offset for r in read(context, topic, "-o", "5", "-c", "2")], [5, 6], "-c 2")


@case("kcat_query")
def kcat_query(context):
    topic = context.create_topic(partitions=2)
    produce(context, topic, [f"k{i}:v{i}" for i in range(5)], "-p", "1")
    first = read(context, topic, "-p", "1")[0].timestamp

    def query(partition, timestamp):
        out = kcat(context, "-Q", "-t", f"{topic}:{partition}:{timestamp}").out
        return int(out.strip().rsplit(" ", 1)[1])

    equal(query(1, -1), 5, "end of partition 1")
    equal(query(1, -2), 0, "beginning of partition 1")
    equal(query(0, -1), 0, "end of the empty partition 0")
    equal(query(1, first), 0, "offset of the first timestamp")
    equal(query(1, first + 3_600_000), -1, "offset of a timestamp in the future")


@case("kcat_group")
def kcat_group(context):
    topic = context.create_topic(partitions=3)
    group = context.topic("group")
    produce(context, topic, [f"k{i}:v{i}" for i in range(30)])
    args = ["-G", group, "-e", "-J", "-X", "auto.offset.reset=earliest", topic]
    rows = [json.loads(line) for line in kcat(context, *args).out.splitlines()]
    equal(sorted(r["payload"] for r in rows), sorted(f"v{i}" for i in range(30)), "first read")
    produce(context, topic, [f"k{i}:v{i}" for i in range(30, 40)])
    rows = [json.loads(line) for line in kcat(context, *args).out.splitlines()]
    equal(sorted(r["payload"] for r in rows), sorted(f"v{i}" for i in range(30, 40)),
          "second read of the same group")
