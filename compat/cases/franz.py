"""franz-go (kgo, kadm), a Go client that shares no code with the others. Scenarios are in go/."""

from harness.case import case


@case("franz_produce_consume")
def franz_produce_consume(context):
    context.franz("produce_consume", context.create_topic())


@case("franz_group_cooperative", seconds=90)
def franz_group_cooperative(context):
    context.franz("group_cooperative", context.create_topic(partitions=4), context.topic("group"))


@case("franz_admin", seconds=90)
def franz_admin(context):
    context.franz("admin", context.topic(), context.topic("group"))
