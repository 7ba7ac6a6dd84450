"""A Java group of ten members with joins, leaves and kills: nothing owned twice, nothing back, nothing missed.

The members live in five processes, two in each, so that a kill takes two of them at once (StormMembers.java); somebody
produces all the time, and somebody watches the committed offsets. harness/tenures.py judges what happened.
"""

import random
import subprocess
import threading
import time

from harness import group_wire, tenures
from harness.case import case, check, equal
from harness.process import forget, kill_group, spawn
from harness.records import Record, batch

PARTITIONS = 20
PROCESSES, MEMBERS_EACH = 5, 2
SESSION_SECONDS = 6
# A machine with two cores and ten consumers must not lose members by slowness alone.
MAX_POLL_MS = 60_000
# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: the topic of the groups is being created.
NOT_YET = (14, 15, 16)
# What real Kafka may answer for a moment after it says that it leads a new partition.
NOT_LEADER = 6

CLASSIC = [f"session.timeout.ms={SESSION_SECONDS * 1000}", "heartbeat.interval.ms=1000"]
STRATEGY = "partition.assignment.strategy=org.apache.kafka.clients.consumer."


@case("group_storm_range", seconds=480)
def group_storm_range(context):
    storm(context, [*CLASSIC, STRATEGY + "RangeAssignor"])


@case("group_storm_cooperative", seconds=480)
def group_storm_cooperative(context):
    storm(context, [*CLASSIC, STRATEGY + "CooperativeStickyAssignor"])


@case("group_storm_consumer", seconds=480)
def group_storm_consumer(context):
    """The protocol of KIP-848: the times are the broker's."""
    session_ms = SESSION_SECONDS * 1000
    storm(context, ["group.protocol=consumer"], {
        "group.consumer.min.session.timeout.ms": session_ms, "group.consumer.session.timeout.ms": session_ms,
        "group.consumer.min.heartbeat.interval.ms": 1000, "group.consumer.heartbeat.interval.ms": 1000,
    })


class Process:
    """A JVM with some members of the group."""

    def __init__(self, context, broker, topic: str, settings: list[str], number: int):
        self.events = context.folder / f"events{number}"
        self.said = open(context.folder / f"members{number}.out", "wb")
        command = context.java_command("lastword.compat.StormMembers", broker.bootstrap, topic, self.events, *settings,
                                       heap="128m")
        self.child = spawn(command, stdin=subprocess.PIPE, stdout=self.said, stderr=self.said, text=True)
        self.members: list[str] = []
        self.number, self.joined = number, 0

    def tell(self, command: str) -> None:
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def join(self) -> None:
        self.joined += 1
        self.members.append(f"p{self.number}-{self.joined}")
        self.tell(f"join {self.members[-1]}")

    def leave(self, draw: random.Random) -> None:
        self.tell(f"leave {self.members.pop(draw.randrange(len(self.members)))}")

    def kill(self) -> dict[str, int]:
        """The members that it had, and when they ended at the earliest."""
        moment = time.monotonic_ns()
        kill_group(self.child)
        self.said.close()
        return {f"p{self.number}-{each}": moment for each in range(1, self.joined + 1)}

    def end(self, seconds: float) -> int:
        self.child.stdin.close()
        try:
            return self.child.wait(seconds)
        finally:
            forget(self.child)
            self.said.close()


class Background(threading.Thread):
    """Does something again and again until it is stopped; what it raises is raised again by `stop`."""

    def __init__(self, action, pause: float):
        super().__init__(daemon=True)
        self.action, self.pause = action, pause
        self.stopping, self.problem = threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.action()
                self.stopping.wait(self.pause)
        except Exception as problem:
            self.problem = problem

    def stop(self):
        self.stopping.set()
        self.join(30)
        if self.problem is not None:
            raise self.problem


def storm(context, settings: list[str], configs: dict | None = None) -> None:
    the_judge_can_say_no()
    broker = context.start_broker(configs)
    topic, group = context.create_topic(partitions=PARTITIONS, on=broker), context.topic("group")
    settings = [*settings, f"group.id={group}", f"max.poll.interval.ms={MAX_POLL_MS}"]
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    produced = {partition: 0 for partition in range(PARTITIONS)}
    watched, backwards = {}, []
    producing, watching = broker.connect(30), broker.connect(30)

    def produce():
        for partition in range(PARTITIONS):
            records = [Record(b"k", b"v") for _ in range(5)]
            done = producing.produce(topic, batch(records, int(time.time() * 1000)), partition)
            if done.error == NOT_LEADER and produced[partition] == 0:
                return
            equal((done.error, done.base_offset), (0, produced[partition]), "produce")
            produced[partition] += len(records)

    def watch():
        error, found = group_wire.committed(watching, group, None)
        if error in NOT_YET and not watched:
            return
        equal(error, 0, "error of OffsetFetch")
        for (_, partition), offset in found.items():
            # An offset that is being committed right now may be answered with an error.
            if isinstance(offset, int):
                if offset < watched.get(partition, -1):
                    backwards.append(f"partition {partition}: {watched[partition]}, then {offset}")
                watched[partition] = offset
        gone = [partition for partition in watched if (topic, partition) not in found]
        check(not gone, f"the offsets of partitions {gone} have gone")

    started = 0
    processes, ended, killed, counts = [], [], {}, {"joins": 0, "leaves": 0, "kills": 0}

    def start_process():
        nonlocal started
        started += 1
        processes.append(Process(context, broker, topic, settings, started))

    for _ in range(PROCESSES):
        start_process()
        for _ in range(MEMBERS_EACH):
            processes[-1].join()
    jobs = [Background(produce, 0.3), Background(watch, 0.2)]

    def fine() -> bool:
        for job in jobs:
            if job.problem is not None:
                raise job.problem
        return True

    try:
        context.wait_until(lambda: fine() and len(watched) == PARTITIONS, "everything is being committed", 90)
        end = time.monotonic() + (40 if context.fast else 300)
        while fine() and time.monotonic() < end:
            time.sleep(draw.uniform(0.5, 3.0))
            one = draw.choice(processes)
            what = draw.choice(["join", "join", "leave", "leave", "kill"])
            if what == "kill":
                processes.remove(one)
                killed |= one.kill()
                ended.append(one)
                start_process()
                processes[-1].join()
                counts["kills"] += 1
            elif what == "leave" and one.members:
                one.leave(draw)
                counts["leaves"] += 1
            elif what == "join" and sum(len(each.members) for each in processes) < PROCESSES * MEMBERS_EACH:
                one.join()
                counts["joins"] += 1
        jobs[0].stop()
        if not any(one.members for one in processes):
            processes[0].join()
        context.wait_until(lambda: fine() and watched == produced, "all that was produced is committed", 90)
        jobs[1].stop()
        for one in processes:
            equal(one.end(60), 0, f"end of the members' process {one.number}")
        ended += processes
        processes = []
    finally:
        for job in jobs:
            job.stopping.set()
        for one in processes:
            one.kill()
    story = tenures.read([one.events for one in ended], killed)
    commits = sum(map(len, story.commits.values()))
    context.note(f"{counts['joins']} joins, {counts['leaves']} leaves, {counts['kills']} kills, "
                 f"{len(story.tenures)} tenures, {commits} commits, {sum(story.refused.values())} refused, "
                 f"{sum(produced.values())} records")
    equal(story.errors, [], "errors of members")
    equal(backwards[:3], [], "committed offsets that were seen to go back")
    equal(tenures.owned_twice(story, SESSION_SECONDS)[:3], [], "partitions owned twice")
    equal(tenures.went_back(story)[:3], [], "commits that went back")
    equal(tenures.missing(story, produced)[:3], [], "records that nobody processed")
    check(len(story.tenures) > 2 * PARTITIONS and counts["kills"] > 0, "nothing happened")


def the_judge_can_say_no() -> None:
    """A judge that finds nothing in bad stories would be worth nothing."""
    session = 10**9 * SESSION_SECONDS

    def story(*tenured, commits=()):
        made = tenures.Story(list(tenured))
        for sent, answered, offset, member in commits:
            made.commits.setdefault(0, []).append((sent, answered, offset, member))
            made.alive.setdefault(member, []).append(sent)
            for tenure in tenured:
                if tenure.member == member:
                    tenure.commits.append(sent)
        return made

    def tenure(member, start, end, how):
        return tenures.Tenure(member, 0, start, end, how)

    def verdict(made):
        return len(tenures.owned_twice(made, SESSION_SECONDS))

    one_after_the_other = story(tenure("a", 0, 10, "revoked"), tenure("b", 20, 30, "revoked"))
    equal(verdict(one_after_the_other), 0, "verdict on one after the other")
    both = story(tenure("a", 0, 30, "revoked"), tenure("b", 20, 40, "revoked"))
    equal(verdict(both), 1, "verdict on two at once")
    lost = story(tenure("a", 0, 30, "lost"), tenure("b", 20, 40, "revoked"))
    equal(verdict(lost), 0, "verdict on one that was put out")
    not_fenced = story(tenure("a", 0, 30, "lost"), tenure("b", 20, 40, "revoked"), commits=[(25, 26, 7, "a")])
    equal(verdict(not_fenced), 1, "verdict on one that was put out and could commit")
    silent = story(tenure("a", 0, 3 * session, "revoked"), tenure("b", 2 * session, 4 * session, "revoked"))
    equal(verdict(silent), 0, "verdict on one that was silent for two sessions")
    back = story(commits=[(0, 1, 9, "a"), (2, 3, 8, "b")])
    equal(len(tenures.went_back(back)), 1, "verdict on a commit that went back")
    crossing = story(commits=[(0, 3, 9, "a"), (2, 4, 8, "b")])
    equal(len(tenures.went_back(crossing)), 0, "verdict on commits at the same time")
    gap = tenures.Story(processed={0: [(0, 4), (6, 9), (5, 5), (11, 12)]})
    equal(tenures.missing(gap, {0: 14}), ["partition 0: 10 to 10", "partition 0: 13 to 13"], "verdict on gaps")
