"""What groups answer to requests that no honest client sends, or that come too late: the error codes of Kafka 4.3.

Each table says what was asked and which code both brokers answer; it was made by asking the real Kafka.
"""

import struct
import threading

from harness import group_wire as groups
from harness import wire
from harness.case import case, check, equal
from harness.group_wire import subscription

LONG, LONGEST = "g" * 10_240, "g" * 32_000
ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCING = 22, 25, 27


def ask(broker, question):
    """The answer on a connection of its own, or why there is none."""
    with broker.connect(30) as peer:
        try:
            return question(peer)
        except (wire.WireError, ConnectionError):
            return "closed"


def compare(broker, table: list[tuple]) -> None:
    """Asks everything, so that one run shows every difference."""
    differences = []
    for what, question, wanted in table:
        found = ask(broker, question)
        if found != wanted:
            differences.append(f"{what}: {found}, wanted {wanted}")
    check(not differences, "; ".join(differences))


def stable_group(broker, group: str, topic: str, instance: str | None = None) -> tuple[str, int]:
    """A group with one member that has synced; the member and its generation."""
    def run(peer):
        protocols = [("range", subscription(topic))]
        joined = groups.join(peer, group, instance=instance, protocols=protocols)
        if joined.error == 79:
            joined = groups.join(peer, group, joined.member, protocols=protocols)
        equal(joined.error, 0, "join")
        assignment = struct.pack(">h", 1) + wire.array([wire.string(topic) + wire.array([bytes(4)])]) + bytes(4)
        error, _ = groups.sync(peer, group, joined.generation, joined.member, {joined.member: assignment}, instance)
        equal(error, 0, "sync")
        return joined.member, joined.generation
    with broker.connect(30) as peer:
        return run(peer)


def settle(context, broker, group: str) -> None:
    """Real Kafka creates __consumer_offsets with the first request of a group."""
    def usable():
        with broker.connect() as peer:
            return groups.find_coordinator(peer, group) == 0 and groups.heartbeat(peer, group, 1, "nobody") == 25
    context.wait_until(usable, "there is a coordinator", 30)


@case("group_bad_input", seconds=120)
def group_bad_input(context):
    broker, topic = context.broker, context.create_topic(partitions=2)
    gone = context.create_topic("gone")
    with broker.connect() as peer:
        equal(peer.delete_topic(gone), 0, "delete a topic")
    stable, static, other = (context.topic(name) for name in ["stable", "static", "other"])
    settle(context, broker, stable)
    member, generation = stable_group(broker, stable, topic)
    owner, _ = stable_group(broker, static, topic, "instance")
    simple = context.topic("simple")
    partition = (topic, 0)
    compare(broker, [("a commit of nobody for nobody's group",
                      lambda peer: groups.commit(peer, simple, {partition: 5}), {partition: 0})])

    def join_error(**more):
        return lambda peer: groups.join(peer, **more).error

    def commit_error(group, where=partition, **more):
        return lambda peer: groups.commit(peer, group, {where: 7}, **more)[where]

    compare(broker, [
        # Group ids.
        ("find the coordinator of 10 KiB", lambda peer: groups.find_coordinator(peer, LONG), 0),
        ("join 10 KiB", join_error(group=LONG), 79),
        ("commit for 10 KiB", commit_error(LONG), 0),
        ("fetch for 10 KiB", lambda peer: groups.committed(peer, LONG, [partition]), (0, {partition: 7})),
        ("describe 10 KiB", lambda peer: groups.describe(peer, LONG)[:2], (0, "Empty")),
        ("delete 10 KiB", lambda peer: groups.delete_groups(peer, [LONG])[LONG], 0),
        ("commit for 32,000 bytes", commit_error(LONGEST), 0),
        ("delete 32,000 bytes", lambda peer: groups.delete_groups(peer, [LONGEST])[LONGEST], 0),
        ("join the empty id", join_error(group=""), 24),
        ("sync the empty id", lambda peer: groups.sync(peer, "", 1, "m", {})[0], 24),
        ("heartbeat of the empty id", lambda peer: groups.heartbeat(peer, "", 1, "m"), 24),
        ("leave the empty id", lambda peer: groups.leave(peer, "", [("m", None)])[0], 24),
        ("commit for the empty id", commit_error(""), 0),
        ("fetch for the empty id", lambda peer: groups.committed(peer, "", [partition]), (0, {partition: 7})),
        ("delete the empty id", lambda peer: groups.delete_groups(peer, [""])[""], 0),
        ("delete offsets of the empty id", lambda peer: groups.delete_offsets(peer, "", [partition])[0], 24),
        # Groups that are not there.
        ("join an unknown group as a member", join_error(group=other, member="m"), UNKNOWN_MEMBER),
        ("sync an unknown group", lambda peer: groups.sync(peer, other, 1, "m", {})[0], UNKNOWN_MEMBER),
        ("heartbeat of an unknown group", lambda peer: groups.heartbeat(peer, other, 1, "m"), UNKNOWN_MEMBER),
        ("leave an unknown group", lambda peer: groups.leave(peer, other, [("m", None)]), (0, [UNKNOWN_MEMBER])),
        ("commit as a member of an unknown group", commit_error(other, generation=1, member="m"), ILLEGAL_GENERATION),
        ("fetch for an unknown group", lambda peer: groups.committed(peer, other, [partition]), (0, {partition: -1})),
        ("fetch all for an unknown group", lambda peer: groups.committed(peer, other, None), (0, {})),
        ("describe an unknown group", lambda peer: groups.describe(peer, other), (0, "Dead", "", "", 0)),
        ("delete an unknown group", lambda peer: groups.delete_groups(peer, [other])[other], 69),
        ("delete offsets of an unknown group", lambda peer: groups.delete_offsets(peer, other, [partition])[0], 69),
        # Members.
        ("heartbeat of a stranger", lambda peer: groups.heartbeat(peer, stable, generation, "m"), UNKNOWN_MEMBER),
        ("sync of a stranger", lambda peer: groups.sync(peer, stable, generation, "m", {})[0], UNKNOWN_MEMBER),
        ("join of a stranger", join_error(group=stable, member="m"), UNKNOWN_MEMBER),
        ("leave of a stranger", lambda peer: groups.leave(peer, stable, [("m", None)]), (0, [UNKNOWN_MEMBER])),
        ("commit of a stranger", commit_error(stable, generation=generation, member="m"), UNKNOWN_MEMBER),
        ("commit of nobody for a group with members", commit_error(stable), UNKNOWN_MEMBER),
        ("commit without a generation", commit_error(stable, member=member), ILLEGAL_GENERATION),
        ("commit without a member", commit_error(stable, generation=generation), UNKNOWN_MEMBER),
        ("leave without a name", lambda peer: groups.leave(peer, stable, [("", None)]), (0, [UNKNOWN_MEMBER])),
        # Generations.
        ("heartbeat of the last generation", lambda peer: groups.heartbeat(peer, stable, generation - 1, member),
         ILLEGAL_GENERATION),
        ("heartbeat of the next generation", lambda peer: groups.heartbeat(peer, stable, generation + 1, member),
         ILLEGAL_GENERATION),
        ("heartbeat of generation -1", lambda peer: groups.heartbeat(peer, stable, -1, member), ILLEGAL_GENERATION),
        ("sync of the last generation", lambda peer: groups.sync(peer, stable, generation - 1, member, {})[0],
         ILLEGAL_GENERATION),
        ("commit of the last generation", commit_error(stable, generation=generation - 1, member=member),
         ILLEGAL_GENERATION),
        ("commit of the next generation", commit_error(stable, generation=generation + 1, member=member),
         ILLEGAL_GENERATION),
        # Instances.
        ("heartbeat with another's instance",
         lambda peer: groups.heartbeat(peer, static, 1, "other", "instance"), 82),
        ("heartbeat with an unknown instance", lambda peer: groups.heartbeat(peer, static, 1, owner, "ghost"),
         UNKNOWN_MEMBER),
        ("sync with another's instance", lambda peer: groups.sync(peer, static, 1, "other", {}, "instance")[0], 82),
        ("commit with another's instance",
         commit_error(static, generation=1, member="other", instance="instance"), 82),
        ("join with another's instance", join_error(group=static, member="other", instance="instance"), 82),
        ("leave with another's instance", lambda peer: groups.leave(peer, static, [("other", "instance")]), (0, [82])),
        # Protocols and times.
        ("join with another protocol type", join_error(group=stable, protocol_type="connect"), 23),
        ("join with another protocol", join_error(group=stable, protocols=[("sticky", b"")]), 23),
        ("join with no protocol type", join_error(group=other, protocol_type=""), 23),
        ("join with a session of 1 ms", join_error(group=other, session_ms=1), 26),
        ("join with a session of 2^31-1 ms", join_error(group=other, session_ms=2**31 - 1), 26),
        ("join with a session of -1 ms", join_error(group=other, session_ms=-1), 26),
        # Partitions.
        ("commit for a deleted topic", commit_error(simple, (gone, 0)), 3),
        ("commit for a topic that never was", commit_error(simple, ("never", 0)), 3),
        ("commit for a topic without a name", commit_error(simple, ("", 0)), 3),
        ("commit for partition 2 of 2", commit_error(simple, (topic, 2)), 3),
        ("commit for partition -1", commit_error(simple, (topic, -1)), 3),
        ("commit with metadata of 4,096 characters", commit_error(simple, metadata="x" * 4096), 0),
        ("commit with metadata of 4,097 characters", commit_error(simple, metadata="x" * 4097), 12),
        ("fetch for a deleted topic", lambda peer: groups.committed(peer, simple, [(gone, 0)]), (0, {(gone, 0): -1})),
        ("fetch for partition -1", lambda peer: groups.committed(peer, simple, [(topic, -1)]), (0, {(topic, -1): -1})),
        # Deleting.
        ("delete a group with members", lambda peer: groups.delete_groups(peer, [stable])[stable], 68),
        ("delete offsets of a subscribed topic", lambda peer: groups.delete_offsets(peer, stable, [partition]),
         (0, {partition: 86})),
        ("delete offsets of an unknown topic", lambda peer: groups.delete_offsets(peer, simple, [("never", 0)]),
         (0, {("never", 0): 3})),
        ("delete offsets of partition 2 of 2", lambda peer: groups.delete_offsets(peer, simple, [(topic, 2)]),
         (0, {(topic, 2): 3})),
        ("delete offsets that are not there", lambda peer: groups.delete_offsets(peer, simple, [(topic, 1)]),
         (0, {(topic, 1): 0})),
        ("delete offsets", lambda peer: groups.delete_offsets(peer, simple, [partition]), (0, {partition: 0})),
        ("fetch deleted offsets", lambda peer: groups.committed(peer, simple, [partition]), (0, {partition: -1})),
        ("delete a group twice in a request",
         lambda peer: groups.delete_groups(peer, [simple, simple])[simple] in (0, 69), True),
    ])
    # Through all of that the members were not disturbed.
    with broker.connect() as peer:
        equal(groups.heartbeat(peer, stable, generation, member), 0, "heartbeat of the member")
        equal(groups.commit(peer, stable, {partition: 9}, generation, member), {partition: 0}, "commit of the member")
        equal(groups.leave(peer, stable, [(member, None), (member, None)]), (0, [0, UNKNOWN_MEMBER]), "leaving twice")
        equal(groups.heartbeat(peer, stable, generation, member), UNKNOWN_MEMBER, "heartbeat of one who left")
        error = groups.commit(peer, stable, {partition: 10}, generation, member)
        equal(error, {partition: UNKNOWN_MEMBER}, "commit of one who left")
        equal(groups.committed(peer, stable, [partition]), (0, {partition: 9}), "what was committed")


@case("group_newer_versions", seconds=120)
def group_newer_versions(context):
    """What only newer versions of the APIs of groups can ask and answer."""
    broker, topic = context.broker, context.create_topic()
    stable, simple, other = (context.topic(name) for name in ["stable", "simple", "other"])
    settle(context, broker, stable)
    member, generation = stable_group(broker, stable, topic)
    partition, nowhere = (topic, 0), bytes(15) + b"\x77"

    def listed(states, types):
        def question(peer):
            error, found = groups.list_groups_filtered(peer, states, types)
            return error, {name: about for name, about in found.items() if name in (stable, simple)}
        return question

    about_stable, about_simple = ("consumer", "Stable", "classic"), ("", "Empty", "classic")
    compare(broker, [
        ("find three coordinators", lambda peer: groups.find_coordinators(peer, 0, [stable, LONG, ""]), [0, 0, 0]),
        ("find the coordinator of a kind that is not there", lambda peer: groups.find_coordinators(peer, 9, ["x"]), [42]),
        ("commit of nobody", lambda peer: groups.commit_v9(peer, simple, partition), 0),
        ("commit as a member of an unknown group", lambda peer: groups.commit_v9(peer, other, partition, 1, "m"), 69),
        ("commit of the last generation",
         lambda peer: groups.commit_v9(peer, stable, partition, generation - 1, member), 22),
        ("commit for an unknown topic id", lambda peer: groups.commit_v10(peer, simple, nowhere), 100),
        ("fetch for an unknown topic id", lambda peer: groups.fetch_v10(peer, simple, nowhere), (0, 100)),
        ("describe an unknown group", lambda peer: groups.describe_error(peer, other), (69, "Dead")),
        ("describe", lambda peer: groups.describe_error(peer, stable), (0, "Stable")),
        ("list all", listed([], []), (0, {stable: about_stable, simple: about_simple})),
        ("list stable ones", listed(["stable"], []), (0, {stable: about_stable})),
        ("list stable and empty ones", listed(["EMPTY", "Stable"], []), (0, {stable: about_stable, simple: about_simple})),
        ("list states that are none", listed(["nonsense"], []), (0, {})),
        ("list classic ones", listed([], ["classic"]), (0, {stable: about_stable, simple: about_simple})),
        ("list consumer ones", listed([], ["Consumer"]), (0, {})),
        ("list types that are none", listed([], ["nonsense"]), (0, {})),
        ("list empty classic ones", listed(["Empty"], ["Classic"]), (0, {simple: about_simple})),
    ])


@case("group_transactions", seconds=120)
def group_transactions(context):
    """Offsets in transactions: who may commit them, and what others see before, during and after."""
    broker, topic = context.broker, context.create_topic(partitions=2)
    stable, simple, other = (context.topic(name) for name in ["stable", "simple", "other"])
    settle(context, broker, stable)
    member, generation = stable_group(broker, stable, topic, "instance")
    partition, second = (topic, 0), (topic, 1)

    def ready():
        with broker.connect() as peer:
            # Real Kafka creates __transaction_state for this.
            groups.find_coordinators(peer, 1, [context.topic("id")])
            return (found := groups.init_producer(peer, context.topic("id")))[0] == 0 and found[1]

    producer = context.wait_until(ready, "there is a coordinator of transactions", 30)
    ahead = groups.Producer(producer.transactional_id, producer.id, producer.epoch + 1)
    stranger = groups.Producer(producer.transactional_id, producer.id + 1000, 0)
    unknown = groups.Producer(context.topic("unknown"), producer.id, producer.epoch)

    def commit(group, by=producer, where=partition, **more):
        return lambda peer: groups.commit_in_transaction(peer, by, group, where, **more)

    compare(broker, [
        ("commit without a transaction", commit(simple), 48),
        ("end without a transaction", lambda peer: groups.end_transaction(peer, producer, True), 48),
        ("add the offsets of a group without a name", lambda peer: groups.add_offsets(peer, producer, ""), 0),
        ("add offsets in the next epoch", lambda peer: groups.add_offsets(peer, ahead, simple), 47),
        ("add offsets as another producer", lambda peer: groups.add_offsets(peer, stranger, simple), 49),
        ("add offsets by an unknown id", lambda peer: groups.add_offsets(peer, unknown, simple), 49),
        *[(f"add offsets of {group}", lambda peer, group=group: groups.add_offsets(peer, producer, group), 0)
          for group in (simple, stable, other)],
        ("commit", commit(simple, offset=7), 0),
        ("commit in the next epoch", commit(simple, ahead), 47),
        ("commit as another producer", commit(simple, stranger), 49),
        # The log knows that the producer's transaction is open, and it does not know ids.
        ("commit by an unknown id", commit(simple, unknown), 0),
        ("commit for a group without a name", commit(""), 24),
        ("commit as a member of an unknown group", commit(other, generation=5, member="m"), 22),
        ("commit of the last generation", commit(stable, generation=generation - 1, member=member), 22),
        ("commit without a generation", commit(stable, member=member), 22),
        ("commit of a stranger", commit(stable, generation=generation, member="m"), 25),
        ("commit with another's instance", commit(stable, generation=generation, member="m", instance="instance"), 82),
        ("commit for an unknown topic", commit(simple, where=("never", 0)), 3),
        ("commit for partition 2 of 2", commit(simple, where=(topic, 2)), 3),
        ("commit with metadata of 4,097 characters", commit(simple, metadata="x" * 4097), 12),
        ("commit of the member", commit(stable, generation=generation, member=member, offset=8), 0),
        ("commit of nobody for a group with members", commit(stable, where=second, offset=9), 0),
        # While it is open.
        ("fetch", lambda peer: groups.committed(peer, simple, [partition]), (0, {partition: -1})),
        ("fetch what is stable", lambda peer: groups.fetch_stable(peer, simple, partition), (-1, 88)),
        ("fetch another that is stable", lambda peer: groups.fetch_stable(peer, simple, second), (-1, 0)),
        ("describe", lambda peer: groups.describe(peer, simple)[:2], (0, "Empty")),
        ("abort", lambda peer: groups.end_transaction(peer, producer, False), 0),
    ])

    def stable_is(group, where, wanted):
        def question():
            with broker.connect() as peer:
                return groups.fetch_stable(peer, group, where) == wanted
        # Real Kafka writes the markers after it has answered.
        context.wait_until(question, f"the stable offset of {group} is {wanted}", 20)

    stable_is(simple, partition, (-1, 0))
    stable_is(stable, partition, (-1, 0))

    def added(peer):
        # The transaction before may not have ended everywhere yet: CONCURRENT_TRANSACTIONS.
        return context.wait_until(lambda: (error := groups.add_offsets(peer, producer, simple)) != 51 and (error,), "added")

    compare(broker, [
        ("commit of nobody", lambda peer: groups.commit(peer, simple, {second: 3}), {second: 0}),
        ("add offsets again", added, (0,)),
        ("commit again", commit(simple, offset=17), 0),
        ("commit the second", commit(simple, where=second, offset=18), 0),
        ("commit the second outside of it", lambda peer: groups.commit(peer, simple, {second: 4}), {second: 0}),
        ("fetch both", lambda peer: groups.committed(peer, simple, [partition, second]),
         (0, {partition: -1, second: 4})),
        ("fetch the second that is stable", lambda peer: groups.fetch_stable(peer, simple, second), (-1, 88)),
        ("end", lambda peer: groups.end_transaction(peer, producer, True), 0),
    ])
    stable_is(simple, partition, (17, 0))
    # What was written later than the transaction's own offset stays.
    stable_is(simple, second, (4, 0))
    compare(broker, [
        ("add offsets a third time", added, (0,)),
        ("commit a third time", commit(simple, offset=27), 0),
        ("delete offsets", lambda peer: groups.delete_offsets(peer, simple, [partition]), (0, {partition: 0})),
        ("fetch what is stable", lambda peer: groups.fetch_stable(peer, simple, partition), (-1, 0)),
        ("commit a fourth time", commit(simple, where=second, offset=28), 0),
        ("delete the group", lambda peer: groups.delete_groups(peer, [simple]), {simple: 0}),
        ("end", lambda peer: groups.end_transaction(peer, producer, True), 0),
        ("fetch what was deleted", lambda peer: groups.committed(peer, simple, None), (0, {})),
    ])


SIMPLE_GROUPS, PENDING_GROUPS, ABANDONED_GROUPS = 5_000, 4_000, 1_000


def spread(broker, items: list, action, threads: int = 16) -> list:
    """Does something for each item on some connections; what it returned, by item."""
    found, problems = {}, []

    def work(share):
        try:
            with broker.connect(60) as peer:
                for item in share:
                    found[item] = action(peer, item)
        except Exception as problem:
            problems.append(problem)

    workers = [threading.Thread(target=work, args=(items[first::threads],)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if problems:
        raise problems[0]
    return [found[item] for item in items]


def resident(broker) -> int:
    with open(f"/proc/{broker.child.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10


@case("group_many", seconds=240)
def group_many(context):
    """Ten thousand groups come and go, half of them made by clients that never come back, and nothing stays."""
    broker = context.start_broker({"group.min.session.timeout.ms": 1000, "offsets.retention.check.interval.ms": 1000})
    topic = context.create_topic(on=broker)
    settle(context, broker, "first")
    before = resident(broker)
    simple = [f"simple-{each}" for each in range(SIMPLE_GROUPS)]
    pending = [f"pending-{each}" for each in range(PENDING_GROUPS)]
    abandoned = [f"abandoned-{each}" for each in range(ABANDONED_GROUPS)]
    partition = (topic, 0)
    errors = spread(broker, simple, lambda peer, group: groups.commit(peer, group, {partition: 7})[partition])
    equal(set(errors), {0}, "errors of commits")
    # Given a member id and never seen again; and members that never sync.
    errors = spread(broker, pending, lambda peer, group: groups.join(peer, group, session_ms=1000).error)
    equal(set(errors), {79}, "errors of joins")
    times = {"session_ms": 1000, "rebalance_ms": 1000, "version": 3}
    errors = spread(broker, abandoned, lambda peer, group: groups.join(peer, group, **times).error)
    equal(set(errors), {0}, "errors of joins before KIP-394")
    grown = resident(broker) - before

    def listed() -> set[str]:
        with broker.connect(30) as peer:
            error, found = groups.list_groups(peer)
            equal(error, 0, "error of ListGroups")
            return set(found)

    context.wait_until(lambda: listed() == set(simple), "only the groups with offsets are left", 60, pause=0.5)
    context.note(f"{len(simple + pending + abandoned)} groups take {grown >> 20} MiB, "
                 f"the {len(simple)} with offsets {(resident(broker) - before) >> 20} MiB")
    if context.target == "lastword":
        check(grown < 64 << 20, f"resident memory grew by {grown >> 20} MiB")

    def delete(peer, first):
        return set(groups.delete_groups(peer, simple[first:first + 500]).values())

    equal(spread(broker, list(range(0, SIMPLE_GROUPS, 500)), delete, 4), [{0}] * 10, "errors of deletions")
    equal(listed(), set(), "groups that are left")
    broker.stop()
    broker.start()
    # Each of them by its own coordinator, which answers when it has loaded.
    for group in simple[:20]:
        settle(context, broker, group)

    def list_groups():
        with broker.connect(30) as peer:
            return groups.list_groups(peer)

    error, found = context.wait_until(lambda: (answer := list_groups())[0] == 0 and answer, "groups are listed", 60)
    equal((error, found), (0, {}), "groups that are back after a restart")
    with broker.connect() as peer:
        equal(groups.committed(peer, simple[0], [partition]), (0, {partition: -1}), "a deleted offset")
