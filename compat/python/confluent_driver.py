"""confluent-kafka (a current librdkafka): both group protocols, transactions, its admin client; see scenarios.py."""

import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING, ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, Consumer, ElectionType,
    IsolationLevel, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
    NewPartitions, NewTopic, OffsetSpec, ResourcePatternType, ResourceType,
)

from scenarios import check, equal, main, unique, until


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def create(bootstrap: str, partitions: int = 1, configs: dict | None = None) -> str:
    name, client = unique("confluent"), admin(bootstrap)
    client.create_topics([NewTopic(name, partitions, 1, config=configs or {})])[name].result(30)
    until(lambda: len(client.list_topics(name).topics[name].partitions) == partitions, "the topic is there")
    return name


def producer(bootstrap: str, **more) -> Producer:
    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, **more})


def send(p: Producer, topic: str, values, partition: int = 0) -> None:
    errors = []
    for i, value in enumerate(values):
        p.produce(topic, value, f"k{i}", partition, on_delivery=lambda error, _: error and errors.append(error))
    equal(p.flush(30), 0, "records not delivered in 30 s")
    equal(errors, [], "delivery errors")


def read(bootstrap: str, topic: str, count: int, partitions: int = 1, **more) -> list:
    """Every record from the beginning to the end, of which there must be `count`."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": unique("reader"), "enable.partition.eof": True,
                         "enable.auto.commit": False, **more})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    found, left, end = [], set(range(partitions)), time.monotonic() + 30
    while left:
        check(time.monotonic() < end, f"the end was not reached; read {len(found)} records")
        for message in consumer.consume(1000, 0.5):
            if message.error() is None:
                found.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise KafkaException(message.error())
    consumer.close()
    equal(len(found), count, "records read")
    return found


class Member:
    """A consumer in a group; what it owns, and what it was told of rebalances."""

    def __init__(self, bootstrap: str, topics: list, group: str, **more):
        self.told, self.found = [], []
        classic = {} if more.get("group.protocol") == "consumer" else {
            "session.timeout.ms": 10_000, "heartbeat.interval.ms": 300}
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000, **classic, **more})
        self.consumer.subscribe(topics,
                                on_assign=lambda _, parts: self.told.append(("assigned", len(parts))),
                                on_revoke=lambda _, parts: self.told.append(("revoked", len(parts))))

    def poll(self) -> None:
        message = self.consumer.poll(0.05)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            self.found.append(message)

    def owned(self) -> list[int]:
        return sorted(tp.partition for tp in self.consumer.assignment())


def share(members: list[Member], partitions: int) -> None:
    """Until every partition is owned once and nobody is without."""
    def shared():
        for member in members:
            member.poll()
        owned = [member.owned() for member in members]
        return all(owned) and sorted(sum(owned, [])) == list(range(partitions))
    until(shared, f"{len(members)} members share {partitions} partitions", 45, 0)


def take(member: Member, count: int) -> list:
    def enough():
        member.poll()
        return len(member.found) >= count
    until(enough, f"{count} records are read", 30, 0)
    return member.found


def shares(name: str, **settings):
    def scenario(bootstrap: str) -> None:
        topic, group = create(bootstrap, 6), unique("group")
        members = [Member(bootstrap, [topic], group, **settings)]
        try:
            share(members, 6)
            members.append(Member(bootstrap, [topic], group, **settings))
            share(members, 6)
            members.append(Member(bootstrap, [topic], group, **settings))
            share(members, 6)

            def even():
                for member in members:
                    member.poll()
                return [len(member.owned()) for member in members] == [2, 2, 2]
            until(even, "each has two partitions", 45, 0)
            members.pop(0).consumer.close()
            share(members, 6)
        finally:
            for member in members:
                member.consumer.close()
    scenario.__name__ = f"members_share_{name}"
    return scenario


def resumes(name: str, **settings):
    def scenario(bootstrap: str) -> None:
        topic, group = create(bootstrap), unique("group")
        send(producer(bootstrap), topic, [str(i) for i in range(20)])
        first = Member(bootstrap, [topic], group, **settings)
        take(first, 20)
        first.consumer.commit(offsets=[TopicPartition(topic, 0, 12, "note")], asynchronous=False)
        committed, = first.consumer.committed([TopicPartition(topic, 0)], 10)
        equal((committed.offset, committed.metadata), (12, "note"), "committed")
        first.consumer.close()
        second = Member(bootstrap, [topic], group, **settings)
        equal(take(second, 8)[0].value(), b"12", "the first one after the commit")
        second.consumer.close()
    scenario.__name__ = f"a_group_resumes_{name}"
    return scenario


def static_member(name: str, **settings):
    def scenario(bootstrap: str) -> None:
        topic, group = create(bootstrap, 4), unique("group")
        members = [Member(bootstrap, [topic], group, **{"group.instance.id": f"static-{i}", **settings})
                   for i in range(2)]
        try:
            share(members, 4)
            before = members[0].owned()
            members.pop(0).consumer.close()
            members.insert(0, Member(bootstrap, [topic], group, **{"group.instance.id": "static-0", **settings}))
            share(members, 4)
            equal(members[0].owned(), before, "what the member that came back owns")
        finally:
            for member in members:
                member.consumer.close()
    scenario.__name__ = f"a_static_member_returns_{name}"
    return scenario


def consumer_protocol_unknown_assignor(bootstrap):
    topic = create(bootstrap)
    member = Member(bootstrap, [topic], unique("group"),
                    **{"group.protocol": "consumer", "group.remote.assignor": "nonsense"})

    def refused():
        try:
            member.poll()
        except KafkaException as problem:
            return problem.args[0].code() in (KafkaError.UNSUPPORTED_ASSIGNOR, KafkaError._FATAL)
    until(refused, "the assignor is refused")
    member.consumer.close()


def consumer_protocol_pattern(bootstrap):
    prefix, client = unique("pattern"), admin(bootstrap)
    client.create_topics([NewTopic(f"{prefix}-a", 1, 1)])[f"{prefix}-a"].result(30)
    member = Member(bootstrap, [f"^{prefix}-.*"], unique("group"), **{"group.protocol": "consumer"})
    try:
        share([member], 1)
        client.create_topics([NewTopic(f"{prefix}-b", 1, 1)])[f"{prefix}-b"].result(30)

        def both():
            member.poll()
            return len(member.owned()) == 2
        until(both, "the new topic is assigned", 30, 0)
    finally:
        member.consumer.close()


def a_group_moves_to_the_consumer_protocol_and_back(bootstrap):
    topic, group = create(bootstrap, 4), unique("group")
    send(producer(bootstrap), topic, ["a", "b"])
    members = [Member(bootstrap, [topic], group, **{"partition.assignment.strategy": "cooperative-sticky"})]
    try:
        take(members[0], 2)
        members[0].consumer.commit(asynchronous=False)
        members.append(Member(bootstrap, [topic], group, **{"group.protocol": "consumer"}))
        share(members, 4)
        members.pop(0).consumer.close()
        share(members, 4)
        members.append(Member(bootstrap, [topic], group, **{"partition.assignment.strategy": "cooperative-sticky"}))
        share(members, 4)
        members.pop(0).consumer.close()
        share(members, 4)
        equal(members[0].found, [], "what was committed is read again")
    finally:
        for member in members:
            member.consumer.close()


def transactions(name: str, **settings):
    def scenario(bootstrap: str) -> None:
        topic = create(bootstrap, 2)
        p = producer(bootstrap, **{"transactional.id": unique("txn"), **settings})
        p.init_transactions(30)
        for value, end in (("committed", p.commit_transaction), ("aborted", p.abort_transaction),
                           ("last", p.commit_transaction)):
            p.begin_transaction()
            for partition in (0, 1):
                send(p, topic, [value] * 5, partition)
            end(30)
        found = read(bootstrap, topic, 20, 2, **{"isolation.level": "read_committed"})
        equal({m.value() for m in found}, {b"committed", b"last"}, "values")
        read(bootstrap, topic, 30, 2, **{"isolation.level": "read_uncommitted"})
    scenario.__name__ = f"a_transaction_commits_and_one_aborts_{name}"
    return scenario


def an_empty_transaction(bootstrap):
    p = producer(bootstrap, **{"transactional.id": unique("txn")})
    p.init_transactions(30)
    for _ in range(3):
        p.begin_transaction()
        p.commit_transaction(30)
        p.begin_transaction()
        p.abort_transaction(30)


def many_transactions(bootstrap):
    topic = create(bootstrap)
    p = producer(bootstrap, **{"transactional.id": unique("txn")})
    p.init_transactions(30)
    for i in range(50):
        p.begin_transaction()
        send(p, topic, [str(i)] * 3)
        (p.abort_transaction if i % 5 == 4 else p.commit_transaction)(30)
    found = read(bootstrap, topic, 120, **{"isolation.level": "read_committed"})
    equal([int(m.value()) for m in found], [i for i in range(50) if i % 5 != 4 for _ in range(3)], "values")


def an_open_transaction_holds_readers_back(bootstrap):
    topic = create(bootstrap)
    p = producer(bootstrap, **{"transactional.id": unique("txn")})
    p.init_transactions(30)
    p.begin_transaction()
    send(p, topic, ["open"])
    send(producer(bootstrap), topic, ["plain"])
    read(bootstrap, topic, 0, **{"isolation.level": "read_committed"})
    read(bootstrap, topic, 2, **{"isolation.level": "read_uncommitted"})
    client, tp = admin(bootstrap), TopicPartition(topic, 0)
    for level, end in ((IsolationLevel.READ_COMMITTED, 0), (IsolationLevel.READ_UNCOMMITTED, 2)):
        equal(client.list_offsets({tp: OffsetSpec.latest()}, isolation_level=level)[tp].result(30).offset, end, str(level))
    p.commit_transaction(30)
    read(bootstrap, topic, 2, **{"isolation.level": "read_committed"})


def offsets_commit_with_the_transaction(name: str, **settings):
    def scenario(bootstrap: str) -> None:
        source, sink, group = create(bootstrap), create(bootstrap), unique("group")
        send(producer(bootstrap), source, ["a", "b", "c"])
        member = Member(bootstrap, [source], group, **settings)
        found = take(member, 3)
        p = producer(bootstrap, **{"transactional.id": unique("txn")})
        p.init_transactions(30)

        def step(offset, values, end):
            p.begin_transaction()
            send(p, sink, values)
            p.send_offsets_to_transaction([TopicPartition(source, 0, offset)], member.consumer.consumer_group_metadata(), 30)
            end(30)
        step(1, ["lost"], p.abort_transaction)
        equal(member.consumer.committed([TopicPartition(source, 0)], 10)[0].offset, -1001, "after the abort")
        step(3, [m.value() for m in found], p.commit_transaction)
        equal(member.consumer.committed([TopicPartition(source, 0)], 10)[0].offset, 3, "after the commit")
        member.consumer.close()
        kept = read(bootstrap, sink, 3, **{"isolation.level": "read_committed"})
        equal([m.value() for m in kept], [b"a", b"b", b"c"], "values")
    scenario.__name__ = f"offsets_commit_with_the_transaction_{name}"
    return scenario


def a_second_producer_fences_the_first(bootstrap):
    topic, name = create(bootstrap), unique("txn")
    first = producer(bootstrap, **{"transactional.id": name})
    first.init_transactions(30)
    first.begin_transaction()
    send(first, topic, ["first"])
    second = producer(bootstrap, **{"transactional.id": name})
    second.init_transactions(30)
    second.begin_transaction()
    send(second, topic, ["second"])
    second.commit_transaction(30)
    try:
        first.commit_transaction(30)
    except KafkaException as problem:
        check(problem.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH),
              f"error {problem}")
    else:
        check(False, "the first producer could still commit")
    found = read(bootstrap, topic, 1, **{"isolation.level": "read_committed"})
    equal(found[0].value(), b"second", "value")


def a_transaction_that_takes_too_long_is_aborted(bootstrap):
    topic = create(bootstrap)
    p = producer(bootstrap, **{"transactional.id": unique("txn"), "transaction.timeout.ms": 1000})
    p.init_transactions(30)
    p.begin_transaction()
    send(p, topic, ["late"])
    client, tp = admin(bootstrap), TopicPartition(topic, 0)
    # The marker has an offset, so the end for read_committed moves behind both.
    until(lambda: client.list_offsets({tp: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_COMMITTED)[tp]
          .result(30).offset == 2, "the transaction is aborted", 60, 0.5)
    try:
        p.commit_transaction(30)
    except KafkaException:
        pass
    else:
        check(False, "it could still be committed")
    read(bootstrap, topic, 0, **{"isolation.level": "read_committed"})


def too_long_a_transaction_timeout_is_refused(bootstrap):
    p = producer(bootstrap, **{"transactional.id": unique("txn"), "transaction.timeout.ms": 2_000_000_000})
    try:
        p.init_transactions(30)
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.INVALID_TRANSACTION_TIMEOUT, "error")
    else:
        check(False, "it was taken")


def admin_list_offsets(bootstrap):
    topic, client = create(bootstrap), admin(bootstrap)
    p, tp = producer(bootstrap), TopicPartition(topic, 0)
    for i, at in enumerate((1_700_000_000_000, 1_700_000_009_000, 1_700_000_005_000)):
        p.produce(topic, str(i), timestamp=at)
        p.flush(30)
    for spec, wanted in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 3), (OffsetSpec.max_timestamp(), 1),
                         (OffsetSpec.for_timestamp(1_700_000_004_000), 1), (OffsetSpec.for_timestamp(1_800_000_000_000), -1)):
        equal(client.list_offsets({tp: spec})[tp].result(30).offset, wanted, type(spec).__name__)


def admin_configs(bootstrap):
    topic, client = create(bootstrap, configs={"retention.ms": "12345"}), admin(bootstrap)
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def entry(name):
        return client.describe_configs([resource])[resource].result(30)[name]
    equal((entry("retention.ms").value, entry("retention.ms").is_default), ("12345", False), "retention.ms")
    check(entry("segment.bytes").is_default, "segment.bytes is not the default")

    def alter(operation, name, value):
        change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
            ConfigEntry(name, value, incremental_operation=operation)])
        client.incremental_alter_configs([change])[change].result(30)
    alter(AlterConfigOpType.SET, "retention.ms", "777")
    alter(AlterConfigOpType.APPEND, "cleanup.policy", "compact")
    until(lambda: (entry("retention.ms").value, entry("cleanup.policy").value) == ("777", "delete,compact"), "both are set")
    alter(AlterConfigOpType.DELETE, "retention.ms", None)
    until(lambda: entry("retention.ms").is_default, "retention.ms is the default again")
    try:
        alter(AlterConfigOpType.SET, "retention.ms", "nonsense")
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.INVALID_CONFIG, "error")
    else:
        check(False, "nonsense was taken")


def admin_describe_cluster_and_topics(bootstrap):
    topic, client = create(bootstrap, 3), admin(bootstrap)
    cluster = client.describe_cluster(include_authorized_operations=True).result(30)
    equal((len(cluster.nodes), cluster.controller.id), (1, cluster.nodes[0].id), "nodes and controller")
    check(cluster.cluster_id and cluster.authorized_operations, f"{cluster.cluster_id} {cluster.authorized_operations}")
    found = client.describe_topics(TopicCollection([topic]), include_authorized_operations=True)[topic].result(30)
    equal([p.id for p in found.partitions], [0, 1, 2], "partitions")
    check(found.topic_id and not found.is_internal and found.authorized_operations, "id, internal, operations")
    try:
        client.describe_topics(TopicCollection(["nosuchtopic"]))["nosuchtopic"].result(30)
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.UNKNOWN_TOPIC_OR_PART, "error")
    else:
        check(False, "a topic that is not there was described")


def admin_partitions_and_deletion(bootstrap):
    topic, client = create(bootstrap, 2), admin(bootstrap)
    client.create_partitions([NewPartitions(topic, 5)])[topic].result(30)
    until(lambda: len(client.list_topics(topic).topics[topic].partitions) == 5, "there are five partitions")
    try:
        client.create_partitions([NewPartitions(topic, 3)])[topic].result(30)
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.INVALID_PARTITIONS, "error")
    else:
        check(False, "fewer partitions were taken")
    client.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in client.list_topics().topics, "the topic is gone")


def admin_elect_leaders(bootstrap):
    topic, client = create(bootstrap), admin(bootstrap)
    found = client.elect_leaders(ElectionType.PREFERRED, [TopicPartition(topic, 0), TopicPartition(topic, 9)]).result(30)
    codes = {tp.partition: error.code() for tp, error in found.items() if error}
    equal(codes, {0: KafkaError.ELECTION_NOT_NEEDED, 9: KafkaError.UNKNOWN_TOPIC_OR_PART}, "errors")


def admin_groups(name: str, kind: ConsumerGroupType, **settings):
    def scenario(bootstrap: str) -> None:
        topic, group, client = create(bootstrap), unique("group"), admin(bootstrap)
        send(producer(bootstrap), topic, ["a", "b", "c"])
        member = Member(bootstrap, [topic], group, **settings)
        take(member, 3)
        member.consumer.commit(asynchronous=False)
        listed = {one.group_id: one for one in client.list_consumer_groups(types={kind}).result(30).valid}
        equal((listed[group].state, listed[group].type), (ConsumerGroupState.STABLE, kind), "listed")
        described = client.describe_consumer_groups([group])[group].result(30)
        equal((described.state, len(described.members)), (ConsumerGroupState.STABLE, 1), "described")
        equal(described.members[0].assignment.topic_partitions, [TopicPartition(topic, 0)], "assignment")
        offsets = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])]
        equal(client.list_consumer_group_offsets(offsets)[group].result(30).topic_partitions[0].offset, 3, "offset")
        try:
            client.delete_consumer_groups([group])[group].result(30)
        except KafkaException as problem:
            equal(problem.args[0].code(), KafkaError.NON_EMPTY_GROUP, "error")
        else:
            check(False, "a group with members was deleted")
        member.consumer.close()
        change = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
        client.alter_consumer_group_offsets([change])[group].result(30)
        equal(client.list_consumer_group_offsets(offsets)[group].result(30).topic_partitions[0].offset, 1, "altered")
        client.delete_consumer_groups([group])[group].result(30)
        check(group not in {one.group_id for one in client.list_consumer_groups().result(30).valid}, "still listed")
    scenario.__name__ = f"admin_groups_{name}"
    return scenario


def admin_delete_records(bootstrap):
    topic, client = create(bootstrap), admin(bootstrap)
    send(producer(bootstrap), topic, [str(i) for i in range(10)])
    tp = TopicPartition(topic, 0, 6)
    equal(client.delete_records([tp])[tp].result(30).low_watermark, 6, "low watermark")
    equal([m.offset() for m in read(bootstrap, topic, 4)], [6, 7, 8, 9], "offsets left")


def admin_acls_without_an_authorizer(bootstrap):
    client = admin(bootstrap)
    rule = AclBinding(ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ,
                      AclPermissionType.ALLOW)
    try:
        client.create_acls([rule])[rule].result(30)
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.SECURITY_DISABLED, "error")
    else:
        check(False, "no error")


NEW = {"group.protocol": "consumer"}
RANGE = {**NEW, "group.remote.assignor": "range"}
SCENARIOS = [
    shares("range", **{"partition.assignment.strategy": "range"}),
    shares("roundrobin", **{"partition.assignment.strategy": "roundrobin"}),
    shares("cooperative_sticky", **{"partition.assignment.strategy": "cooperative-sticky"}),
    shares("consumer_protocol", **NEW), shares("consumer_protocol_range", **RANGE),
    resumes("classic"), resumes("consumer_protocol", **NEW),
    static_member("classic"), static_member("consumer_protocol", **NEW),
    consumer_protocol_unknown_assignor, consumer_protocol_pattern, a_group_moves_to_the_consumer_protocol_and_back,
    transactions("plain"), transactions("compressed", **{"compression.type": "lz4"}), an_empty_transaction,
    many_transactions, an_open_transaction_holds_readers_back, offsets_commit_with_the_transaction("classic"),
    offsets_commit_with_the_transaction("consumer_protocol", **NEW), a_second_producer_fences_the_first,
    a_transaction_that_takes_too_long_is_aborted, too_long_a_transaction_timeout_is_refused,
    admin_list_offsets, admin_configs, admin_describe_cluster_and_topics, admin_partitions_and_deletion,
    admin_elect_leaders, admin_groups("classic", ConsumerGroupType.CLASSIC),
    admin_groups("consumer_protocol", ConsumerGroupType.CONSUMER, **NEW), admin_delete_records,
    admin_acls_without_an_authorizer,
]

if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
