"""Kafka 4.3's console tools, each as a process of its own, the way an operator runs them."""

import json

from harness.case import case, check, equal
from harness.kcat import produce, read

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"


def tool(context, main, *arguments, **more):
    return context.tool(main, "--bootstrap-server", context.broker.bootstrap, *arguments, **more)


def described(out: str) -> dict[str, str]:
    """The first line of TopicCommand --describe, as names and values."""
    line = next(l for l in out.splitlines() if l.startswith("Topic:"))
    return dict(part.split(": ", 1) if ": " in part else (part.rstrip(":"), "")
                for part in line.split("\t") if part)


@case("tools_topics", seconds=120)
def tools_topics(context):
    topic = context.topic()
    tool(context, TOPICS, "--create", "--topic", topic, "--partitions", "2",
         "--config", "cleanup.policy=compact", "--config", "min.cleanable.dirty.ratio=0.3")
    check(topic in tool(context, TOPICS, "--list").out.split(), "--list lacks the topic")
    found = described(tool(context, TOPICS, "--describe", "--topic", topic).out)
    equal(found["PartitionCount"], "2", "PartitionCount")
    equal(found["ReplicationFactor"], "1", "ReplicationFactor")
    for wanted in ["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.3"]:
        check(wanted in found["Configs"], f"--describe lacks {wanted}: {found['Configs']}")
    tool(context, TOPICS, "--alter", "--topic", topic, "--partitions", "4")
    context.wait_until(
        lambda: described(tool(context, TOPICS, "--describe", "--topic", topic).out)
        ["PartitionCount"] == "4", "there are 4 partitions", 20)
    again = tool(context, TOPICS, "--create", "--topic", topic, check=False)
    check(again.code != 0 and "already exists" in again.out + again.err, "created it twice")
    tool(context, TOPICS, "--delete", "--topic", topic)
    context.wait_until(lambda: topic not in tool(context, TOPICS, "--list").out.split(),
                       "the topic is gone", 20)


@case("tools_configs", seconds=90)
def tools_configs(context):
    topic = context.create_topic(configs={"cleanup.policy": "compact"})
    entity = ["--entity-type", "topics", "--entity-name", topic]
    tool(context, CONFIGS, "--alter", *entity,
         "--add-config", "delete.retention.ms=1234,cleanup.policy=[compact,delete]")
    found = tool(context, CONFIGS, "--describe", *entity).out
    check("delete.retention.ms=1234" in found, f"--describe lacks the change: {found}")
    check("cleanup.policy=compact,delete" in found, f"--describe lacks the policy: {found}")
    everything = tool(context, CONFIGS, "--describe", "--all", *entity).out
    check("min.cleanable.dirty.ratio=0.5" in everything, "--describe --all lacks a default")
    tool(context, CONFIGS, "--alter", *entity, "--delete-config", "delete.retention.ms")
    context.wait_until(
        lambda: "delete.retention.ms" not in tool(context, CONFIGS, "--describe", *entity).out,
        "the config is deleted", 20)
    bad = tool(context, CONFIGS, "--alter", *entity, "--add-config", "no.such=1", check=False)
    check(bad.code != 0 and "no.such" in bad.out + bad.err, f"no.such=1: {bad.last_words()}")


@case("tools_console")
def tools_console(context):
    topic = context.create_topic()
    lines = [f"key{i}\tvalue {i}" for i in range(200)]
    tool(context, CONSOLE_PRODUCER, "--topic", topic, "--reader-property", "parse.key=true",
         stdin="\n".join(lines) + "\n")
    out = tool(context, CONSOLE_CONSUMER, "--topic", topic, "--from-beginning",
               "--max-messages", "200", "--timeout-ms", "20000",
               "--formatter-property", "print.key=true", check=False).out
    equal(out.splitlines(), lines, "what the console consumer printed")


@case("tools_groups", seconds=120)
def tools_groups(context):
    topic, group = context.create_topic(), context.topic("group")
    produce(context, topic, [f"k{i}:v{i}" for i in range(20)])
    tool(context, CONSOLE_CONSUMER, "--topic", topic, "--group", group, "--from-beginning",
         "--max-messages", "20", "--timeout-ms", "20000")
    check(group in tool(context, GROUPS, "--list").out.split(), "--list lacks the group")

    def position() -> list[str]:
        """CURRENT-OFFSET, LOG-END-OFFSET and LAG of partition 0."""
        out = tool(context, GROUPS, "--describe", "--group", group).out
        rows = [line.split() for line in out.splitlines() if line.startswith(group)]
        check(rows, f"--describe shows no partition: {out}")
        return rows[0][3:6]

    def position_is(wanted) -> None:
        equal(position(), wanted, "current, end and lag")

    position_is(["20", "20", "0"])
    reset = ["--reset-offsets", "--group", group, "--topic", topic, "--execute"]
    tool(context, GROUPS, *reset, "--to-offset", "5")
    position_is(["5", "20", "15"])
    tool(context, GROUPS, *reset, "--to-earliest")
    position_is(["0", "20", "20"])
    state = tool(context, GROUPS, "--describe", "--group", group, "--state").out
    check("Empty" in state, f"--state does not say Empty: {state}")
    tool(context, GROUPS, "--delete", "--group", group)
    check(group not in tool(context, GROUPS, "--list").out.split(), "the group is not deleted")


@case("tools_offsets_and_records", seconds=90)
def tools_offsets_and_records(context):
    topic = context.create_topic(partitions=2)
    produce(context, topic, [f"k{i}:v{i}" for i in range(10)], "-p", "0")
    shell = "org.apache.kafka.tools.GetOffsetShell"

    def offsets(time: str) -> list[str]:
        out = tool(context, shell, "--topic-partitions", topic, "--time", time).out
        return sorted(line for line in out.split() if line.startswith(topic))

    equal(offsets("latest"), [f"{topic}:0:10", f"{topic}:1:0"], "latest")
    equal(offsets("earliest"), [f"{topic}:0:0", f"{topic}:1:0"], "earliest")
    plan = context.folder / "delete.json"
    plan.write_text(json.dumps(
        {"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 4}]}))
    out = tool(context, "org.apache.kafka.tools.DeleteRecordsCommand",
               "--offset-json-file", plan).out
    check("low_watermark: 4" in out, f"DeleteRecordsCommand: {out}")
    equal(offsets("earliest"), [f"{topic}:0:4", f"{topic}:1:0"], "earliest afterwards")
    equal([r.offset for r in read(context, topic, "-p", "0")], list(range(4, 10)), "records left")


@case("tools_log_dirs")
def tools_log_dirs(context):
    topic = context.create_topic()
    produce(context, topic, [f"k{i}:{'v' * 500}" for i in range(50)])
    out = tool(context, "org.apache.kafka.tools.LogDirsCommand", "--describe",
               "--topic-list", topic).out
    found = json.loads(next(l for l in out.splitlines() if l.startswith("{")))
    partitions = found["brokers"][0]["logDirs"][0]["partitions"]
    equal([p["partition"] for p in partitions], [f"{topic}-0"], "partitions")
    check(25_000 < partitions[0]["size"] < 100_000, f"size is {partitions[0]['size']}")


@case("tools_perf", seconds=120)
def tools_perf(context):
    topic = context.create_topic()
    count = 100_000
    out = context.tool(
        "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(count),
        "--record-size", "200", "--throughput", "-1", "--command-property",
        f"bootstrap.servers={context.broker.bootstrap}", quick=False).out
    last = out.splitlines()[-1]
    check(last.startswith(f"{count} records sent"), f"ProducerPerformance: {last}")
    out = tool(context, "org.apache.kafka.tools.ConsumerPerformance", "--topic", topic,
               "--num-records", str(count), "--timeout", "20000", quick=False).out
    row = out.splitlines()[-1].split(", ")
    check(int(row[4]) >= count, f"ConsumerPerformance read {row[4]} records")
    context.note(f"{last.split(',')[1].strip().split(' ')[0]} records/s in")


@case("tools_api_versions")
def tools_api_versions(context):
    out = tool(context, "org.apache.kafka.tools.BrokerApiVersionsCommand").out
    check(out.startswith(context.broker.bootstrap), f"no such broker: {out[:200]}")
    for name in ["Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "OffsetCommit(8)",
                 "JoinGroup(11)", "ApiVersions(18)", "CreateTopics(19)", "InitProducerId(22)",
                 "DescribeConfigs(32)", "IncrementalAlterConfigs(44)", "DescribeCluster(60)"]:
        line = next((l for l in out.splitlines() if name in l), "")
        check("usable" in line, f"{name} is not usable: {line.strip()!r}")
