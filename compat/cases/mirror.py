"""MirrorMaker 2 (4.3) between real Kafka and Lastword, either way: topics, configs, records, groups, checkpoints."""

import time

from harness.case import case, check, equal
from harness.child import Child
from harness.kcat import kcat, read

SETTINGS = {
    "replication.factor": 1, "checkpoints.topic.replication.factor": 1, "heartbeats.topic.replication.factor": 1,
    "offset-syncs.topic.replication.factor": 1, "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1, "config.storage.replication.factor": 1,
    "offset.storage.partitions": 1, "status.storage.partitions": 1,
    "refresh.topics.interval.seconds": 1, "refresh.groups.interval.seconds": 1,
    "sync.topic.configs.interval.seconds": 1, "emit.checkpoints.interval.seconds": 1,
    "sync.group.offsets.enabled": "true", "sync.group.offsets.interval.seconds": 1,
    "emit.heartbeats.interval.seconds": 1, "offset.lag.max": 0, "offset.flush.interval.ms": 500,
    "tasks.max": 2, "scheduled.rebalance.max.delay.ms": 0, "plugin.discovery": "service_load",
}
PREFIX = "source."


def start_mirror(context, source, target, number: int, **more) -> Child:
    properties = context.folder / f"mirror{number}.properties"
    merged = {
        "clusters": "source, target", "source.bootstrap.servers": source.bootstrap,
        "target.bootstrap.servers": target.bootstrap, "source->target.enabled": "true",
        "target->source.enabled": "false", "source->target.topics": "orders, prices, late",
        "source->target.groups": ".*", **SETTINGS, **more}
    properties.write_text("".join(f"{name}={value}\n" for name, value in merged.items()))
    return Child("MirrorMaker", context.java_command(
        "org.apache.kafka.connect.mirror.MirrorMaker", str(properties), heap="256m"),
        context.folder / f"mirror{number}.out")


def rows(context, broker, topic: str, offsets: bool = True) -> list[tuple]:
    """Every record as it is, by partition and in order."""
    found = sorted(read(context, topic, "-X", "isolation.level=read_committed", on=broker),
                   key=lambda row: (row.partition, row.offset))
    return [(row.partition, row.offset if offsets else None, row.timestamp, row.key, row.value, row.headers)
            for row in found]


def write(context, broker, topic: str, numbers: range, codec: str) -> None:
    """Keys, headers, tombstones."""
    text = "".join(f"k{n % 50}:{'' if n % 17 == 3 else f'value {n}'}\n" for n in numbers)
    kcat(context, "-P", "-t", topic, "-K", ":", "-Z", "-z", codec, "-H", "from=compat", on=broker, stdin=text)


def partitions_of_topics(broker) -> dict[str, int]:
    with broker.connect() as connection:
        return {name: len(partitions) for name, (_, partitions) in connection.metadata()["topics"].items()}


def numbers(out: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def mirrored(context, source, target) -> None:
    with source.connect() as connection:
        connection.create_topic("orders", 3, {"retention.ms": 77_000_000})
        connection.create_topic("prices", 2, {"cleanup.policy": "compact", "max.message.bytes": 500_000})
    write(context, source, "orders", range(2000), "lz4")
    write(context, source, "prices", range(1000), "zstd")
    ends = {}
    for partition in range(3):
        rows_of = [row for row in read(context, "orders", on=source) if row.partition == partition]
        ends[partition] = len(rows_of)
    # One group is at the end, one in the middle.
    for partition, end in ends.items():
        context.confluent("group_commit", "done", "orders", partition, end, on=source)
    context.confluent("group_commit", "halfway", "orders", 0, ends[0] // 2, on=source)
    mirror = start_mirror(context, source, target, 1)

    def there(topic: str, offsets: bool = True):
        def same():
            check(mirror.alive(), f"MirrorMaker ended: {mirror.last_words()}")
            return PREFIX + topic in partitions_of_topics(target) and \
                rows(context, target, PREFIX + topic, offsets) == rows(context, source, topic, offsets)
        context.wait_until(same, f"{topic} is there, record by record", 90, 0.5)

    there("orders")
    there("prices")
    equal([partitions_of_topics(target)[PREFIX + topic] for topic in ("orders", "prices")], [3, 2],
          "partitions of the copies")
    configs = numbers(context.confluent("topic_configs", PREFIX + "prices", on=target))
    equal((configs.get("cleanup.policy"), configs.get("max.message.bytes")), ("compact", "500000"),
          "configs of the copy")
    equal(numbers(context.confluent("topic_configs", PREFIX + "orders", on=target)).get("retention.ms"), "77000000",
          "retention.ms of the copy")

    # What changes at the source comes after: records, a config, partitions, a topic.
    write(context, source, "orders", range(2000, 2500), "gzip")
    context.set_topic_configs("prices", {"max.message.bytes": 600_000}, on=source)
    with source.connect() as connection:
        connection.create_topic("late", 1)
    write(context, source, "late", range(100), "none")
    context.confluent("add_partitions", "prices", 4, on=source)
    write(context, source, "prices", range(1000, 1300), "snappy")
    there("orders")
    there("prices")
    there("late")
    context.wait_until(lambda: partitions_of_topics(target)[PREFIX + "prices"] == 4,
                       "the copy has four partitions", 30, 0.3)
    context.wait_until(lambda: numbers(context.confluent("topic_configs", PREFIX + "prices", on=target))
                       .get("max.message.bytes") == "600000", "the new config is there", 30, 0.5)

    # Groups: the one at the end is at the end of the copy, the one in the middle not behind the middle of it.
    def translated(group: str) -> dict[int, int]:
        out = context.confluent("group_committed", group, PREFIX + "orders", 3, on=target)
        return {int(partition): int(offset) for partition, offset in (line.split() for line in out.splitlines())}

    context.wait_until(lambda: translated("done") == ends, "the offsets of the group that is done", 60, 1)
    context.wait_until(lambda: translated("halfway").get(0, -1) > 0, "the offset of the group halfway", 30, 1)
    halfway = translated("halfway")[0]
    check(halfway <= ends[0] // 2, f"the group halfway was at {ends[0] // 2} and is at {halfway}")
    checkpoints = read(context, "source.checkpoints.internal", on=target)
    check(checkpoints, "no checkpoint was written")
    check(read(context, PREFIX + "heartbeats", on=target), "no heartbeat was mirrored")

    # Killed and started again, it goes on: nothing is lost, what was copied is not copied from the beginning again.
    time.sleep(1)
    mirror.kill9()
    write(context, source, "orders", range(2500, 3000), "lz4")
    mirror = start_mirror(context, source, target, 2)
    wanted = rows(context, source, "orders", offsets=False)

    def caught_up():
        check(mirror.alive(), f"MirrorMaker ended: {mirror.last_words()}")
        return set(rows(context, target, PREFIX + "orders", False)) >= set(wanted)
    context.wait_until(caught_up, "the records after the kill are there", 60, 0.5)
    again = len(rows(context, target, PREFIX + "orders")) - len(wanted)
    check(again < 1000, f"{again} records were copied twice after a kill")
    mirror.terminate(60)
    context.note(f"{len(wanted)} records of orders, {again} twice after a kill; group halfway at {ends[0] // 2} "
                 f"became {halfway}")


@case("mirror_from_kafka", seconds=300)
def mirror_from_kafka(context):
    source = context.start_broker(target="kafka")
    mirrored(context, source, context.start_broker())


@case("mirror_to_kafka", seconds=300)
def mirror_to_kafka(context):
    target = context.start_broker(target="kafka")
    mirrored(context, context.start_broker(), target)
