"""A group of ten members for minutes, each a process of its own (franz-go), with joins, leaves and kills.

Members write down, in files of their own and before the next thing happens, what they are given, what they give
back, what they read, and every commit that was answered. In the end: no partition was two members' at once, no
committed offset went back, and every record was read.
"""

import random
import subprocess
import time

from harness.case import Failed, case, check, equal
from harness.paths import GO_DRIVER
from harness.process import forget, kill_group, spawn

MEMBERS = 10
PARTITIONS = 24


@case("members_classic", seconds=480)
def members_classic(context):
    ten_members(context, "classic")


@case("members_consumer", seconds=480)
def members_consumer(context):
    ten_members(context, "consumer")


def ten_members(context, protocol: str) -> None:
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    broker = context.start_broker({
        "group.consumer.heartbeat.interval.ms": 1000, "group.consumer.min.heartbeat.interval.ms": 1000,
        "group.consumer.session.timeout.ms": 6000, "group.consumer.min.session.timeout.ms": 6000})
    group = Group(context, broker, protocol)
    load = group.child("load", "group_load", group.topic)
    for _ in range(MEMBERS):
        group.join()
    group.wait_for_reads()
    watch = group.child("watch", "group_watch", group.name)
    end = time.monotonic() + (25 if context.fast else 300)
    done = {"joins": 0, "leaves": 0, "kills": 0}
    while time.monotonic() < end:
        time.sleep(draw.uniform(0.2, 3))
        group.check_alive()
        what = draw.choice(["joins", "leaves", "kills"])
        # Ten, give or take two.
        what = "joins" if len(group.members) <= MEMBERS - 2 else "leaves" if len(group.members) > MEMBERS + 1 else what
        done[what] += 1
        if what == "joins":
            group.join()
        else:
            member = draw.choice(sorted(group.members))
            (group.leave if what == "leaves" else group.kill)(member)
    ends = pairs(group.end(load, "load").splitlines())
    group.wait_committed(ends)
    for member in sorted(group.members):
        group.leave(member)
    said = group.end(watch, "watch").splitlines()
    equal(pairs(said[1:]), ends, "committed offsets in the end, and ends of the partitions")
    read = group.check(ends)
    context.note(f"{done['joins']} joins, {done['leaves']} leaves, {done['kills']} kills, "
                 f"{sum(ends.values())} records, {read - sum(ends.values())} read again, {said[0]} times")


def pairs(lines: list[str]) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in map(str.split, lines)}


class Group:
    def __init__(self, context, broker, protocol: str):
        self.context, self.broker, self.protocol = context, broker, protocol
        self.topic = context.create_topic(partitions=PARTITIONS, on=broker)
        self.name = context.topic("group")
        self.members: dict[int, subprocess.Popen] = {}
        self.started = 0
        # When a member was dead for certain; only those that were killed.
        self.killed_at: dict[int, int] = {}

    def child(self, name: str, scenario: str, *arguments) -> subprocess.Popen:
        with open(self.context.folder / f"{name}.out", "wb") as out:
            return spawn([GO_DRIVER, scenario, self.broker.bootstrap, *arguments], stdin=subprocess.PIPE,
                         stdout=out, stderr=out)

    def events_path(self, member: int):
        return self.context.folder / f"member{member}.events"

    def join(self) -> None:
        member, self.started = self.started, self.started + 1
        self.members[member] = self.child(f"member{member}", "group_member", self.topic, self.name, self.protocol,
                                          self.events_path(member))

    def leave(self, member: int) -> None:
        self.end(self.members.pop(member), f"member{member}")

    def kill(self, member: int) -> None:
        kill_group(self.members.pop(member))
        self.killed_at[member] = time.time_ns()

    def said(self, name: str) -> str:
        return (self.context.folder / f"{name}.out").read_text(errors="replace")

    def end(self, child: subprocess.Popen, name: str) -> str:
        child.stdin.close()
        try:
            code = child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            kill_group(child)
            raise Failed(f"{name} did not come to an end: {self.said(name)[-300:]}") from None
        forget(child)
        check(code == 0, f"{name}: {self.said(name)[-300:]}")
        return self.said(name)

    def check_alive(self) -> None:
        for member, child in self.members.items():
            check(child.poll() is None, f"member{member} gave up: {self.said(f'member{member}')[-300:]}")

    def events(self, member: int) -> list[tuple[int, str, int, int]]:
        """Time, what, partition, offset. The last line of a killed member may be cut."""
        path = self.events_path(member)
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [(int(at), what, int(partition), int(offset))
                for at, what, partition, offset in map(str.split, lines)]

    def wait_for_reads(self) -> None:
        def all_partitions_read():
            return len({partition for member in range(self.started)
                        for _, what, partition, _ in self.events(member) if what == "committed"}) == PARTITIONS
        self.context.wait_until(all_partitions_read, "something of each partition is committed", 40, pause=0.5)

    def wait_committed(self, ends: dict[int, int]) -> None:
        def everything():
            newest: dict[int, int] = {}
            for member in range(self.started):
                for _, what, partition, offset in self.events(member):
                    if what == "committed":
                        newest[partition] = max(offset, newest.get(partition, -1))
            return newest == ends
        self.context.wait_until(everything, "everything is read and committed", 60, pause=1)

    def check(self, ends: dict[int, int]) -> int:
        """Who had what and when, and what was read; the number of records read, again or not."""
        held: dict[int, list[tuple[int, int, int]]] = {partition: [] for partition in ends}
        read: dict[int, set[int]] = {partition: set() for partition in ends}
        count = 0
        for member in range(self.started):
            since: dict[int, int] = {}
            for at, what, partition, offset in self.events(member):
                if what == "assigned":
                    check(partition not in since, f"member{member} was given partition {partition} twice")
                    since[partition] = at
                elif what in ("revoked", "lost"):
                    # Lost with the session: it was somebody else's from an unknown moment on. Nobody here is that slow.
                    check(what == "revoked", f"member{member} lost partition {partition}")
                    held[partition].append((since.pop(partition), at, member))
                elif what == "read":
                    check(partition in since, f"member{member} read partition {partition}, which it does not have")
                    read[partition].add(offset)
                    count += 1
                else:
                    check(partition in since, f"member{member} committed for {partition}, which it does not have")
            check(not since or member in self.killed_at, f"member{member} left and kept {sorted(since)}")
            for partition, at in since.items():
                held[partition].append((at, self.killed_at[member], member))
        for partition, spans in held.items():
            spans.sort()
            for (_, until, one), (begin, _, other) in zip(spans, spans[1:]):
                check(until <= begin, f"partition {partition} was member{one}'s until {until} and "
                      f"member{other}'s from {begin}")
        for partition, last in ends.items():
            missing = set(range(last)) - read[partition]
            check(not missing, f"partition {partition}: {len(missing)} of {last} records were read by nobody, such as "
                  f"{sorted(missing)[:5]}")
        return count
