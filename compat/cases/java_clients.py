"""Kafka's Java clients 4.3: producer, consumer, admin, Streams. The scenarios are in java/src."""

from harness.case import case, equal

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@case("java_produce_codecs")
def java_produce_codecs(context):
    context.java("produce_codecs", *[context.create_topic(codec) for codec in CODECS])


@case("java_consumer_assign")
def java_consumer_assign(context):
    context.java("consumer_assign", context.create_topic(partitions=2))


@case("java_group_rebalance", seconds=90)
def java_group_rebalance(context):
    context.java("group_rebalance", context.create_topic(partitions=4), context.topic("group"))


@case("java_group_cooperative", seconds=90)
def java_group_cooperative(context):
    context.java("group_rebalance", context.create_topic(partitions=4), context.topic("group"),
                 "partition.assignment.strategy",
                 "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                 "heartbeat.interval.ms", "500")


# Members of the new protocol hear of a rebalance at their next heartbeat.
QUICK_HEARTBEATS = {"group.consumer.heartbeat.interval.ms": 500, "group.consumer.min.heartbeat.interval.ms": 500}


@case("java_group_consumer_uniform", seconds=120)
def java_group_consumer_uniform(context):
    broker = context.start_broker(QUICK_HEARTBEATS)
    context.java("group_rebalance", context.create_topic(partitions=4, on=broker), context.topic("group"),
                 "group.protocol", "consumer", on=broker, seconds=90)


@case("java_group_consumer_range", seconds=120)
def java_group_consumer_range(context):
    broker = context.start_broker(QUICK_HEARTBEATS)
    context.java("group_rebalance", context.create_topic(partitions=4, on=broker), context.topic("group"),
                 "group.protocol", "consumer", "group.remote.assignor", "range", on=broker, seconds=90)


@case("java_group_migration", seconds=120)
def java_group_migration(context):
    broker = context.start_broker(QUICK_HEARTBEATS)
    context.java("group_migration", context.create_topic(partitions=4, on=broker), context.topic("group"),
                 on=broker, seconds=100)


@case("java_group_consumer_members", seconds=120)
def java_group_consumer_members(context):
    context.java("group_members", context.create_topic(partitions=4), context.topic("group"))


@case("java_group_migration_described", seconds=150)
def java_group_migration_described(context):
    context.java("group_migration_described", context.create_topic(partitions=4), context.topic("group"))


@case("java_offsets_survive_restart", seconds=120)
def java_offsets_survive_restart(context):
    broker = context.start_broker()
    topic = context.create_topic(on=broker)
    group = context.topic("group")
    context.java("commit_some", topic, group, on=broker)
    broker.stop()
    broker.start()
    context.java("committed_is", topic, group, on=broker)


@case("java_admin_topics")
def java_admin_topics(context):
    context.java("admin_topics", context.topic())


@case("java_admin_records")
def java_admin_records(context):
    context.java("admin_records", context.create_topic())


@case("java_admin_configs")
def java_admin_configs(context):
    context.java("admin_configs", context.create_topic(configs={"cleanup.policy": "compact"}))


@case("java_admin_log_dirs")
def java_admin_log_dirs(context):
    context.java("admin_log_dirs", context.create_topic())


@case("java_admin_groups")
def java_admin_groups(context):
    context.java("admin_groups", context.create_topic(partitions=2), context.topic("group"))


@case("java_admin_surface")
def java_admin_surface(context):
    context.java("admin_surface", context.create_topic())


@case("java_refusals")
def java_refusals(context):
    compacted = context.create_topic("compacted", configs={"cleanup.policy": "compact"})
    small = context.create_topic("small", configs={"max.message.bytes": 10_000})
    context.java("refusals", compacted, small)


@case("java_streams_restore", seconds=120)
def java_streams_restore(context):
    context.java("streams_count", context.create_topic(), context.topic("app"), seconds=110)
    with context.broker.connect() as connection:
        changelogs = [name for name in connection.metadata()["topics"] if name.endswith("-changelog")]
    equal(len(changelogs), 1, "changelog topics")
