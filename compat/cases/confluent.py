"""confluent-kafka for Python (a current librdkafka). The scenarios are in python/driver.py."""

from harness.case import case


@case("confluent_produce_consume", seconds=90)
def confluent_produce_consume(context):
    context.confluent("produce_consume", context.create_topic(partitions=3),
                      context.topic("group"))


@case("confluent_tombstones")
def confluent_tombstones(context):
    context.confluent("tombstones", context.create_topic(configs={"cleanup.policy": "compact"}))


@case("confluent_admin")
def confluent_admin(context):
    context.confluent("admin", context.topic(), context.topic("group"))
