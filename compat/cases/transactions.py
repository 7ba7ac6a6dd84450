"""Transactions: Java producers and tools, Java and librdkafka consumers."""

import random
import subprocess
import time

from harness import group_wire as groups
from harness.broker import copy_directory
from harness.case import case, check, equal
from harness.kcat import read
from harness.process import forget, kill_group, spawn
from harness.records import TRANSACTIONAL_BIT, Record, batch

TOOL = "org.apache.kafka.tools.TransactionsCommand"
PARTITIONS = 3
INVALID_REQUIRED_ACKS = 21


def tool(context, *arguments, on=None, **more):
    broker = on or context.broker
    return context.tool(TOOL, "--bootstrap-server", broker.bootstrap, *arguments, **more)


def rows(out: str) -> list[dict[str, str]]:
    """The table that the tool prints."""
    lines = [line.split("\t") for line in out.splitlines() if "\t" in line]
    header = [name.strip() for name in lines[0]]
    return [dict(zip(header, (cell.strip() for cell in line))) for line in lines[1:]]


@case("transactions_commit_and_abort", seconds=120)
def transactions_commit_and_abort(context):
    topic = context.create_topic(partitions=PARTITIONS)
    context.java("transactions", topic, context.topic("id"), seconds=100)
    # 20 transactions of 50 records of which 7 were aborted, and one of 1 record.
    committed = read(context, topic, "-X", "isolation.level=read_committed")
    equal(len(committed), 13 * 50 + 1, "records that librdkafka reads with read_committed")
    uncommitted = read(context, topic, "-X", "isolation.level=read_uncommitted")
    equal(len(uncommitted), 20 * 50 + 1, "records that librdkafka reads with read_uncommitted")


@case("transactions_fencing", seconds=90)
def transactions_fencing(context):
    context.java("transactions_fencing", context.create_topic(), context.topic("id"), seconds=80)


@case("transactions_administration", seconds=90)
def transactions_administration(context):
    topic = context.create_topic(partitions=PARTITIONS)
    context.java("transactions_admin", topic, context.topic("id"), seconds=80)


@case("transactions_with_any_acks", seconds=60)
def transactions_with_any_acks(context):
    """Clients insist on acks=all in transactions. The broker does not: what was answered early is committed too."""
    topic, now = context.create_topic(), int(time.time() * 1000)
    with context.broker.connect() as peer:
        # Kafka makes its internal topic when somebody looks for the coordinator.
        context.wait_until(lambda: groups.find_coordinators(peer, 1, [context.topic("id")]) == [0], "a coordinator", 30)
        _, producer = context.wait_until(
            lambda: (found := groups.init_producer(peer, context.topic("id")))[0] == 0 and found, "a producer id", 30)
        for sequence, (acks, commit) in enumerate([(-1, True), (1, True), (0, True), (1, False), (0, False)]):
            # CONCURRENT_TRANSACTIONS as long as the markers of the transaction before are being written.
            context.wait_until(lambda: groups.add_partition(peer, producer, (topic, 0)) == 0, "it is added", 20)
            records = batch([Record(b"acks", str(acks).encode())], now, attributes=TRANSACTIONAL_BIT,
                            producer=(producer.id, producer.epoch, sequence))
            if acks == 0:
                peer.produce(topic, records, acks=acks, transactional_id=producer.transactional_id)
            else:
                # NOT_LEADER_OR_FOLLOWER as long as the topic is new.
                context.wait_until(lambda: peer.produce(topic, records, acks=acks,
                                                        transactional_id=producer.transactional_id).error == 0,
                                   f"a record with acks={acks} is taken", 20)
            # Requests of a connection are served in order, so this ends a transaction that has its record.
            equal(groups.end_transaction(peer, producer, commit), 0, f"error of EndTxn with acks={acks}")
        context.wait_until(lambda: groups.add_partition(peer, producer, (topic, 0)) == 0, "it is added", 20)
        odd = peer.produce(topic, records, acks=2, transactional_id=producer.transactional_id)
        equal(odd.error, INVALID_REQUIRED_ACKS, "error of acks=2")
        equal(groups.end_transaction(peer, producer, False), 0, "error of EndTxn with acks=2")

    def values(level):
        return [row.value for row in read(context, topic, "-X", f"isolation.level={level}")]

    context.wait_until(lambda: values("read_committed") == ["-1", "1", "0"], "the committed records are read", 20)
    equal(values("read_uncommitted"), ["-1", "1", "0", "1", "0"], "uncommitted records")


@case("transactions_copy", seconds=120)
def transactions_copy(context):
    """Consume, transform, produce and commit the offsets in one transaction, aborting every third time."""
    topics = [context.create_topic(name, partitions=PARTITIONS) for name in ("from", "to")]
    context.java("transactions_copy", *topics, context.topic("group"), seconds=110)


@case("transactions_tool", seconds=150)
def transactions_tool(context):
    """kafka-transactions.sh: list, describe, describe-producers, find-hanging, abort, forceTerminateTransaction."""
    topic, name = context.create_topic(partitions=PARTITIONS), context.topic("id")
    # A client that is gone without ending its transaction.
    context.java("transactions_leave_open", topic, name)
    listed = {row["TransactionalId"]: row for row in rows(tool(context, "list").out)}
    equal(listed[name]["TransactionState"], "Ongoing", "state in the list")
    described = rows(tool(context, "describe", "--transactional-id", name).out)[0]
    equal(described["TransactionState"], "Ongoing", "state")
    equal(described["TopicPartitions"], f"{topic}-0", "partitions")
    place = ["--topic", topic, "--partition", "0"]
    producer = rows(tool(context, "describe-producers", *place).out)[0]
    equal(producer["ProducerId"], listed[name]["ProducerId"], "producer id in the partition")
    equal(producer["CurrentTransactionStartOffset"], "0", "start offset of the open transaction")
    hanging = tool(context, "find-hanging", "--topic", topic).out
    equal(rows(hanging), [], "transactions that hang")

    # The marker of an administrator: the partition no longer knows the transaction.
    tool(context, "abort", *place, "--start-offset", "0")
    producer = rows(tool(context, "describe-producers", *place).out)[0]
    equal(producer["CurrentTransactionStartOffset"], "None", "open transaction after abort")

    tool(context, "forceTerminateTransaction", "--transactionalId", name)
    described = rows(tool(context, "describe", "--transactional-id", name).out)[0]
    check(described["TransactionState"] != "Ongoing", f"it is still open: {described}")
    equal(read(context, topic, "-X", "isolation.level=read_committed"), [], "committed records")


@case("transactions_survive_restart", seconds=120)
def transactions_survive_restart(context):
    """What is open when the broker stops is open when it is back, and can be ended then."""
    broker = context.start_broker()
    topic, name = context.create_topic(partitions=PARTITIONS, on=broker), context.topic("id")
    context.java("transactions_leave_open", topic, name, on=broker)
    broker.stop()
    broker.start()

    def described():
        found = tool(context, "describe", "--transactional-id", name, on=broker, check=False)
        return found.code == 0 and rows(found.out)[0]

    equal(context.wait_until(described, "it is described", 30)["TransactionState"], "Ongoing", "state")
    context.java("transactions_fencing", topic, name, on=broker)


@case("transactions_kill9", seconds=300, targets=("lastword",))
def transactions_kill9(context):
    """kill -9 of the broker while a producer commits and aborts: each transaction is there wholly or not at all."""
    rounds = 4 if context.fast else 20
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    broker = context.start_broker()
    topic = context.create_topic(partitions=PARTITIONS, on=broker)
    path = context.folder / "promises.txt"
    with open(path, "wb") as out:
        child = spawn(context.java_command("lastword.compat.Driver", "transactions_for_ever", broker.bootstrap,
                                           topic, context.topic("id"), "0"),
                      stdout=out, stderr=subprocess.STDOUT)
    try:
        context.wait_until(lambda: b"committed" in path.read_bytes(), "the first commit", 30)
        for _ in range(rounds):
            time.sleep(draw.uniform(0.05, 1.0))
            check(child.poll() is None, f"the producer gave up: {path.read_text()[-300:]}")
            before = path.read_bytes().count(b"committed ")
            broker.kill9()
            broker.start()
            context.wait_until(lambda: path.read_bytes().count(b"committed ") > before + 1,
                               "transactions are committed again", 40)
    finally:
        kill_group(child)
        forget(child)

    promises = {}
    for line in path.read_text().splitlines():
        word, _, number = line.partition(" ")
        if word in ("committing", "committed", "aborted") and number.isdecimal():
            promises[int(number)] = word
    # Whatever the producer has left open is aborted by the next one of its id.
    context.java("transactions_abort_the_rest", context.topic("id"), on=broker)
    found: dict[str, set[int]] = {}
    count = 0
    for line in context.java("transactions_dump", topic, on=broker, seconds=60).splitlines():
        partition, _, value = line.partition(" ")
        number, slash, of = value.partition("/")
        if slash:
            equal(of, partition, f"partition of {value}, seed {seed}")
            check(int(partition) not in found.setdefault(number, set()), f"{value} is there twice, seed {seed}")
            found[number].add(int(partition))
            count += 1
    for number, partitions in found.items():
        equal(len(partitions), PARTITIONS, f"partitions that have transaction {number}, seed {seed}")
        check(promises.get(int(number)) in ("committing", "committed"),
              f"transaction {number} was never committed, seed {seed}")
    lost = [n for n, word in promises.items() if word == "committed" and str(n) not in found]
    equal(lost, [], f"committed and lost, seed {seed}")
    words = list(promises.values())
    context.note(f"{rounds} kills, {words.count('committed')} committed, {words.count('aborted')} aborted, "
                 f"{words.count('committing')} in doubt, {count} records")


@case("transactions_taken_over", seconds=240, targets=("lastword",))
def transactions_taken_over(context):
    """A transaction that Kafka has left open is open on Lastword, and is ended there; and the other way round."""
    kafka = context.start_broker(target="kafka")
    topic, name = context.create_topic(on=kafka), context.topic("id")
    context.java("transactions_leave_open", topic, name, on=kafka)
    kafka.stop()
    copy = context.folder / "copy"
    copy_directory(kafka.data, copy)

    lastword = context.start_broker(data=copy)
    described = tool(context, "describe", "--transactional-id", name, on=lastword)
    equal(rows(described.out)[0]["TransactionState"], "Ongoing", "state on Lastword")
    context.java("transactions_fencing", topic, name, on=lastword)
    wanted = context.java("transactions_dump", topic, on=lastword)
    back = context.create_topic("back", on=lastword)
    context.java("transactions_leave_open", back, name, on=lastword)
    lastword.stop()

    kafka.data = copy
    kafka.start()
    described = tool(context, "describe", "--transactional-id", name, on=kafka)
    equal(rows(described.out)[0]["TransactionState"], "Ongoing", "state on Kafka")
    equal(context.java("transactions_dump", topic, on=kafka), wanted, "committed records on Kafka")
    context.java("transactions_fencing", back, name, on=kafka)
