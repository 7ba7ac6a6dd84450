"""aiokafka, an asyncio client that shares its protocol code with no other: scenarios, see scenarios.py."""

import asyncio
import sys
import time

from aiokafka import (
    AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IllegalOperation, InvalidTopicError, KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError, ProducerFenced,
    TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code,
)

from scenarios import check, equal, main, unique


async def admin(bootstrap: str) -> AIOKafkaAdminClient:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    return client


async def create(bootstrap: str, partitions: int = 1, configs: dict | None = None) -> str:
    name = unique("aiokafka")
    client = await admin(bootstrap)
    try:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
    finally:
        await client.close()
    return name


async def produce(bootstrap: str, topic: str, values, partition: int | None = None, **settings) -> list:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **settings) as producer:
        futures = [await producer.send(topic, value, key=b"k%d" % i, partition=partition)
                   for i, value in enumerate(values)]
        return await asyncio.gather(*futures)


async def read(bootstrap: str, topic: str, count: int, partitions: int = 1, **settings) -> list:
    """`count` records from the beginning; more than that are an error."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", **settings)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        await consumer.seek_to_beginning()
        found = []
        end = time.monotonic() + 20
        while len(found) < count:
            check(time.monotonic() < end, f"read {len(found)} of {count} records in 20 s")
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += records
        equal(len(found), count, "records read")
        return found
    finally:
        await consumer.stop()


def codec(name: str | None):
    async def scenario(bootstrap: str) -> None:
        topic, values = await create(bootstrap), [b"%d " % i + b"x" * 200 for i in range(2000)]
        await produce(bootstrap, topic, values, compression_type=name, linger_ms=20)
        equal([record.value for record in await read(bootstrap, topic, 2000)], values, "values")
    scenario.__name__ = f"codec_{name or 'none'}"
    return scenario


def acks(setting):
    async def scenario(bootstrap: str) -> None:
        topic = await create(bootstrap)
        await produce(bootstrap, topic, [b"a", b"b"], acks=setting)
        equal([record.value for record in await read(bootstrap, topic, 2)], [b"a", b"b"], "values")
    scenario.__name__ = f"acks_{setting}"
    return scenario


async def idempotent_producer(bootstrap):
    topic = await create(bootstrap, 3)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=1) as producer:
        futures = [await producer.send(topic, b"%d" % i, partition=i % 3) for i in range(3000)]
        metadata = await asyncio.gather(*futures)
    equal(sorted((m.partition, m.offset) for m in metadata), [(p, o) for p in range(3) for o in range(1000)], "offsets")
    await read(bootstrap, topic, 3000, 3)


async def headers_tombstones_and_timestamps(bootstrap):
    topic = await create(bootstrap, configs={"cleanup.policy": "compact"})
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"v", key=b"k", headers=[("h", b"1"), ("h", b"2"), ("n", None)],
                                     timestamp_ms=1_700_000_000_123)
        await producer.send_and_wait(topic, None, key=b"k")
        await producer.send_and_wait(topic, b"", key=b"")
    first, second, third = await read(bootstrap, topic, 3)
    equal(list(first.headers), [("h", b"1"), ("h", b"2"), ("n", None)], "headers")
    equal((first.timestamp, first.timestamp_type), (1_700_000_000_123, 0), "timestamp")
    equal((second.key, second.value), (b"k", None), "tombstone")
    equal((third.key, third.value), (b"", b""), "empty key and value")


async def a_keyless_record_to_a_compacted_topic_is_refused(bootstrap):
    topic = await create(bootstrap, configs={"cleanup.policy": "compact"})
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        try:
            await producer.send_and_wait(topic, b"v")
        except KafkaError as problem:
            equal(type(problem).__name__, for_code(87).__name__, "error")
            return
    check(False, "the record was taken")


async def log_append_time(bootstrap):
    topic, begin = await create(bootstrap, configs={"message.timestamp.type": "LogAppendTime"}), time.time() * 1000
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"v", timestamp_ms=1)
    record, = await read(bootstrap, topic, 1)
    equal(record.timestamp_type, 1, "timestamp type")
    check(record.timestamp >= begin - 1, f"timestamp {record.timestamp} is before the start {begin}")


async def too_large_a_message(bootstrap):
    topic = await create(bootstrap, configs={"max.message.bytes": "1000"})
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        try:
            await producer.send_and_wait(topic, b"x" * 5000)
        except MessageSizeTooLargeError:
            return
    check(False, "the record was taken")


async def messages_larger_than_the_fetch_size(bootstrap):
    topic = await create(bootstrap)
    await produce(bootstrap, topic, [bytes(200_000)] * 5, max_request_size=2_000_000)
    await read(bootstrap, topic, 5, max_partition_fetch_bytes=10_000)


async def seeking_and_offsets_by_time(bootstrap):
    topic = await create(bootstrap)
    tp = TopicPartition(topic, 0)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for i in range(10):
            await producer.send_and_wait(topic, b"%d" % i, timestamp_ms=1_700_000_000_000 + i * 1000)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        consumer.assign([tp])
        equal(await consumer.beginning_offsets([tp]), {tp: 0}, "beginning")
        equal(await consumer.end_offsets([tp]), {tp: 10}, "end")
        found = await consumer.offsets_for_times({tp: 1_700_000_004_500})
        equal((found[tp].offset, found[tp].timestamp), (5, 1_700_000_005_000), "offset by time")
        equal((await consumer.offsets_for_times({tp: 1_800_000_000_000}))[tp], None, "offset by a time in the future")
        consumer.seek(tp, 7)
        equal((await consumer.getone()).value, b"7", "after seek")
        equal(await consumer.position(tp), 8, "position")
        consumer.pause(tp)
        equal(await consumer.getmany(tp, timeout_ms=300), {}, "while paused")
        consumer.resume(tp)
        equal((await consumer.getone()).value, b"8", "after resume")
    finally:
        await consumer.stop()


async def offset_out_of_range(bootstrap):
    topic = await create(bootstrap)
    await produce(bootstrap, topic, [b"a"])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
    await consumer.start()
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        consumer.seek(tp, 100)
        try:
            await asyncio.wait_for(consumer.getone(), 10)
        except OffsetOutOfRangeError:
            return
        check(False, "no error")
    finally:
        await consumer.stop()


async def member(bootstrap, topics, group, **settings):
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                                heartbeat_interval_ms=200, metadata_max_age_ms=1000, **settings)
    await consumer.start()
    return consumer


async def take(consumer, count: int, seconds: float = 20) -> list:
    found, end = [], time.monotonic() + seconds
    while len(found) < count:
        check(time.monotonic() < end, f"read {len(found)} of {count} records in {seconds} s")
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found += records
    return found


async def share(consumers, topic, partitions: int) -> None:
    """Wait until every partition is assigned once and nobody is without."""
    end = time.monotonic() + 30
    while True:
        await asyncio.gather(*(consumer.getmany(timeout_ms=100) for consumer in consumers))
        owned = [sorted(tp.partition for tp in consumer.assignment()) for consumer in consumers]
        if sorted(sum(owned, [])) == list(range(partitions)) and all(owned):
            return
        check(time.monotonic() < end, f"partitions of {topic} are owned as {owned}")


async def a_group_resumes_at_its_commit(bootstrap):
    topic, group = await create(bootstrap), unique("group")
    await produce(bootstrap, topic, [b"%d" % i for i in range(20)])
    tp = TopicPartition(topic, 0)
    consumer = await member(bootstrap, [topic], group, enable_auto_commit=False)
    try:
        await take(consumer, 20)
        await consumer.commit({tp: OffsetAndMetadata(12, "note")})
        equal(await consumer.committed(tp), 12, "committed")
    finally:
        await consumer.stop()
    consumer = await member(bootstrap, [topic], group, enable_auto_commit=False)
    try:
        equal([r.value for r in await take(consumer, 8)], [b"%d" % i for i in range(12, 20)], "after the commit")
    finally:
        await consumer.stop()


async def auto_commit(bootstrap):
    topic, group = await create(bootstrap), unique("group")
    await produce(bootstrap, topic, [b"a", b"b", b"c"])
    consumer = await member(bootstrap, [topic], group, enable_auto_commit=True, auto_commit_interval_ms=100)
    try:
        await take(consumer, 3)
    finally:
        await consumer.stop()
    await produce(bootstrap, topic, [b"d"])
    consumer = await member(bootstrap, [topic], group)
    try:
        equal([r.value for r in await take(consumer, 1)], [b"d"], "after the auto commit")
    finally:
        await consumer.stop()


async def members_share_and_leave(bootstrap):
    topic, group = await create(bootstrap, 6), unique("group")
    consumers = [await member(bootstrap, [topic], group)]
    try:
        await share(consumers, topic, 6)
        consumers.append(await member(bootstrap, [topic], group))
        await share(consumers, topic, 6)
        consumers.append(await member(bootstrap, [topic], group))
        await share(consumers, topic, 6)
        await consumers.pop(0).stop()
        await share(consumers, topic, 6)
    finally:
        for consumer in consumers:
            await consumer.stop()


async def the_rebalance_listener_is_told(bootstrap):
    topic, group, told = await create(bootstrap, 2), unique("group"), []

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            told.append(("revoked", sorted(tp.partition for tp in revoked)))

        async def on_partitions_assigned(self, assigned):
            told.append(("assigned", sorted(tp.partition for tp in assigned)))

    one = await member(bootstrap, [], group)
    other = None
    try:
        one.subscribe([topic], listener=Listener())
        await share([one], topic, 2)
        other = await member(bootstrap, [topic], group)
        await share([one, other], topic, 2)
    finally:
        await one.stop()
        if other:
            await other.stop()
    check(("assigned", [0, 1]) in told and ("revoked", [0, 1]) in told, f"told {told}")


async def a_static_member_returns_to_its_partitions(bootstrap):
    topic, group = await create(bootstrap, 4), unique("group")
    consumers = [await member(bootstrap, [topic], group, group_instance_id=f"static-{i}") for i in range(2)]
    try:
        await share(consumers, topic, 4)
        before = consumers[0].assignment()
        await consumers.pop(0).stop()
        consumers.insert(0, await member(bootstrap, [topic], group, group_instance_id="static-0"))
        await share(consumers, topic, 4)
        equal(consumers[0].assignment(), before, "assignment of the member that came back")
    finally:
        for consumer in consumers:
            await consumer.stop()


async def subscribing_by_pattern_finds_new_topics(bootstrap):
    prefix, group = unique("pattern"), unique("group")
    client = await admin(bootstrap)
    consumer = await member(bootstrap, [], group)
    try:
        await client.create_topics([NewTopic(f"{prefix}-a", 1, 1)])
        consumer.subscribe(pattern=f"^{prefix}-.*")
        await produce(bootstrap, f"{prefix}-a", [b"a"])
        equal([r.value for r in await take(consumer, 1)], [b"a"], "of the first topic")
        await client.create_topics([NewTopic(f"{prefix}-b", 1, 1)])
        await produce(bootstrap, f"{prefix}-b", [b"b"])
        equal([r.value for r in await take(consumer, 1)], [b"b"], "of the new topic")
    finally:
        await consumer.stop()
        await client.close()


async def two_groups_read_everything_each(bootstrap):
    topic = await create(bootstrap, 2)
    await produce(bootstrap, topic, [b"%d" % i for i in range(100)])
    for _ in range(2):
        consumer = await member(bootstrap, [topic], unique("group"))
        try:
            equal(len(await take(consumer, 100)), 100, "records")
        finally:
            await consumer.stop()


async def a_transaction_commits_and_one_aborts(bootstrap):
    topic = await create(bootstrap, 2)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=unique("txn")) as producer:
        async with producer.transaction():
            for i in range(10):
                await producer.send(topic, b"committed", partition=i % 2)
        await producer.begin_transaction()
        for i in range(10):
            await producer.send_and_wait(topic, b"aborted", partition=i % 2)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"last", partition=0)
    committed = await read(bootstrap, topic, 11, 2, isolation_level="read_committed")
    equal(sorted({r.value for r in committed}), [b"committed", b"last"], "read_committed")
    await read(bootstrap, topic, 21, 2, isolation_level="read_uncommitted")


async def an_open_transaction_holds_readers_back(bootstrap):
    topic = await create(bootstrap)
    tp = TopicPartition(topic, 0)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=unique("txn")) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open")
        await produce(bootstrap, topic, [b"plain"])
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed",
                                    auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([tp])
            equal(await consumer.getmany(timeout_ms=500), {}, "while the transaction is open")
            equal(await consumer.end_offsets([tp]), {tp: 0}, "end for read_committed")
            await producer.commit_transaction()
            equal([r.value for r in await take(consumer, 2)], [b"open", b"plain"], "after the commit")
        finally:
            await consumer.stop()


async def offsets_commit_with_the_transaction(bootstrap):
    source, sink, group = await create(bootstrap), await create(bootstrap), unique("group")
    tp = TopicPartition(source, 0)
    await produce(bootstrap, source, [b"%d" % i for i in range(10)])
    consumer = await member(bootstrap, [source], group, enable_auto_commit=False)
    try:
        records = await take(consumer, 10)
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=unique("txn")) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(sink, b"lost")
            await producer.send_offsets_to_transaction({tp: 3}, group)
            await producer.abort_transaction()
            equal(await consumer.committed(tp), None, "committed by the aborted transaction")
            async with producer.transaction():
                for record in records:
                    await producer.send(sink, record.value)
                await producer.send_offsets_to_transaction({tp: 10}, group)
        equal(await consumer.committed(tp), 10, "committed")
    finally:
        await consumer.stop()
    equal([r.value for r in await read(bootstrap, sink, 10, isolation_level="read_committed")],
          [r.value for r in records], "of the sink")


async def a_second_producer_fences_the_first(bootstrap):
    topic, name = await create(bootstrap), unique("txn")
    first = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    await first.start()
    second = None
    try:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"first")
        second = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        await second.start()
        async with second.transaction():
            await second.send_and_wait(topic, b"second")
        try:
            await first.send_and_wait(topic, b"late")
            await first.commit_transaction()
        except (ProducerFenced, IllegalOperation, KafkaError):
            pass
        else:
            check(False, "the first producer could still commit")
    finally:
        if second:
            await second.stop()
        try:
            await first.stop()
        except KafkaError:
            pass
    equal([r.value for r in await read(bootstrap, topic, 1, isolation_level="read_committed")], [b"second"], "values")


async def admin_topics_and_partitions(bootstrap):
    client, name = await admin(bootstrap), unique("admin")
    try:
        await client.create_topics([NewTopic(name, 2, 1)])
        check(name in await client.list_topics(), "the topic is not listed")
        answer = await client.create_topics([NewTopic(name, 2, 1)])
        equal(answer.topic_errors[0][1], TopicAlreadyExistsError.errno, "creating it again")
        answer = await client.create_topics([NewTopic("not a name!", 1, 1)])
        equal(answer.topic_errors[0][1], InvalidTopicError.errno, "a bad name")
        await client.create_partitions({name: NewPartitions(5)})
        described, = await client.describe_topics([name])
        equal(len(described["partitions"]), 5, "partitions")
        await client.delete_topics([name])
        check(name not in await client.list_topics(), "the deleted topic is listed")
        answer = await client.delete_topics([name])
        equal(answer.topic_error_codes[0][1], UnknownTopicOrPartitionError.errno, "deleting it again")
    finally:
        await client.close()


async def admin_configs(bootstrap):
    topic, client = await create(bootstrap, configs={"retention.ms": "12345"}), await admin(bootstrap)
    try:
        async def value() -> str:
            answers = await client.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": None})])
            return answers[0].resources[0][4][0][1]
        equal(await value(), "12345", "retention.ms")
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "777"})])
        equal(await value(), "777", "retention.ms, altered")
    finally:
        await client.close()


async def admin_groups(bootstrap):
    topic, group, client = await create(bootstrap), unique("group"), await admin(bootstrap)
    consumer = await member(bootstrap, [topic], group)
    try:
        await produce(bootstrap, topic, [b"a", b"b"])
        await take(consumer, 2)
        await consumer.commit()
        check((group, "consumer") in [tuple(one[:2]) for one in await client.list_consumer_groups()], "not listed")
        offsets = await client.list_consumer_group_offsets(group)
        equal(offsets[TopicPartition(topic, 0)].offset, 2, "offset")
        answer, = await client.describe_consumer_groups([group])
        state, members = answer.groups[0][2], answer.groups[0][5]
        equal((state, len(members)), ("Stable", 1), "state and members")
    finally:
        await consumer.stop()
        await client.close()


async def admin_delete_records(bootstrap):
    topic, client = await create(bootstrap), await admin(bootstrap)
    tp = TopicPartition(topic, 0)
    try:
        await produce(bootstrap, topic, [b"%d" % i for i in range(10)])
        await client.delete_records({tp: RecordsToDelete(before_offset=6)})
        equal([r.offset for r in await read(bootstrap, topic, 4)], [6, 7, 8, 9], "offsets left")
    finally:
        await client.close()


async def describe_cluster(bootstrap):
    client = await admin(bootstrap)
    try:
        found = await client.describe_cluster()
        equal(len(found["brokers"]), 1, "brokers")
        check(found["cluster_id"], "no cluster id")
    finally:
        await client.close()


SCENARIOS = [
    *(codec(name) for name in (None, "gzip", "snappy", "lz4", "zstd")), *(acks(setting) for setting in (0, 1, "all")),
    idempotent_producer, headers_tombstones_and_timestamps, a_keyless_record_to_a_compacted_topic_is_refused,
    log_append_time, too_large_a_message, messages_larger_than_the_fetch_size, seeking_and_offsets_by_time,
    offset_out_of_range, a_group_resumes_at_its_commit, auto_commit, members_share_and_leave,
    the_rebalance_listener_is_told, a_static_member_returns_to_its_partitions,
    subscribing_by_pattern_finds_new_topics, two_groups_read_everything_each, a_transaction_commits_and_one_aborts,
    an_open_transaction_holds_readers_back, offsets_commit_with_the_transaction, a_second_producer_fences_the_first,
    admin_topics_and_partitions, admin_configs, admin_groups, admin_delete_records, describe_cluster,
]

if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
