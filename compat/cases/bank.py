"""A bank on transactions: three writers in three languages, random aborts, kills of the broker and of the writers.

Every writer (0 Go, 1 Java, 2 Python) has a share of every account. The topic of balances is compacted; partition W
holds the shares of writer W, and only W writes there: key account, value `transaction step fate share`. What an
account holds is the sum of its shares. A transaction is one to four transfers from an account to another, so the
shares of one writer add up to what was put in by its first transaction after every transaction and never within
one: the batches of one transfer, and the transfers of one transaction, are sent one by one. Whatever moment each
partition is read at, the sum of a committed read is the same, because each is read at an end of a transaction.
The ledger, one partition for all, has one record for each transfer, in the same transactions; that is where
transactions of several writers overlap.

A writer decides beforehand that it will abort a transaction, or walk away from it, and says so in the records
(fate `abort`, `abandon`), with an amount that no sum survives. After an error it does not know what became of a
transaction: a new producer of the same transactional id ends it, and the writer reads where that left its shares.

What must hold: every snapshot up to the LastStableOffset, while all of this goes on, has the right sums and no
record that was not meant to be committed; in the end every transaction is in the ledger and in the balances, or in
neither, those whose commit was acknowledged are and those whose abort was acknowledged are not; and readers in
three languages see the same, before and after cleaning, with a transaction open, and after another kill.
Where the broker is killed here, Kafka is stopped after the writers: `take_down` says why.
"""

import random
import subprocess
import time

from harness.case import Failed, case, check, equal
from harness.paths import COMPAT, GO_DRIVER, VENV_PYTHON
from harness.process import forget, kill_group, spawn

WRITERS = ["go", "java", "python"]
ACCOUNTS = 20
OPENING_SHARE = 1000


@case("bank", seconds=900)
def bank(context):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    # Kafka takes about 8 s to start again, Lastword a fraction of one.
    kills = {"kafka": (1, 3), "lastword": (4, 20)}[context.target][0 if context.fast else 1]
    broker = context.start_broker({
        "log.cleaner.backoff.ms": 200, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "transaction.state.log.num.partitions": 4})
    balances = context.create_topic("balances", len(WRITERS), on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 8 << 10, "min.cleanable.dirty.ratio": 0.01})
    ledger = context.create_topic("ledger", 1, on=broker, configs={"retention.ms": -1})
    bench = Bank(context, broker, balances, ledger, draw)

    bench.start_all()
    watcher = bench.python("watch", len(WRITERS), ACCOUNTS)
    for number in range(kills):
        time.sleep(draw.uniform(0.5, 3))
        bench.all_alive(f"before kill {number}")
        if number % 2:
            bench.kill_writer(draw.choice(WRITERS))
        if context.target == "kafka":
            bench.stop_all()
        take_down(broker)
        time.sleep(draw.uniform(0, 0.5))
        broker.start()
        if context.target == "kafka":
            bench.start_all()
    wanted = 10 if context.fast else 100
    context.wait_until(lambda: watcher.poll() is not None or bench.said("watch").count("snapshot") >= wanted,
                       f"there are {wanted} snapshots", 120, pause=0.2)
    context.wait_until(lambda: all(len(broker.segment_bases(balances, at)) > 1 for at in range(len(WRITERS))),
                       "there is something to clean", 120, pause=0.2)
    bench.all_alive("after the last kill")
    bench.stop_all()
    snapshots = [line.split() for line in bench.end(watcher, "watch").splitlines()]
    aborted_seen = sum(int(more) > int(committed) for _, committed, more in snapshots)
    context.note(f"{kills} kills, {len(snapshots)} snapshots, {aborted_seen} of them with more uncommitted")
    check(aborted_seen > 0, "no uncommitted read showed more than the committed one before it")

    final, _ = bench.same_for_all("the writers have ended")
    committed = bench.check_books(final)
    context.note(f"{committed} transactions committed, {bench.count('aborted')} aborted")
    uncommitted, more = bench.read("go", "uncommitted")
    check(any(line.split()[-4] in ("abort", "abandon") for line in uncommitted if line.startswith("transfer")),
          "an uncommitted read shows no aborted transfer")

    # A transaction stays open over a cleaning and another kill.
    hanging = bench.python("hang", len(WRITERS))
    context.wait_until(lambda: "open" in bench.said("hang"), "the open transaction is written", 30)
    for partition in range(len(WRITERS)):
        context.wait_cleaned(broker, balances, partition)
    for where in ("after cleaning", "after cleaning and a kill"):
        still, seen = bench.same_for_all(where)
        equal(still, final, f"what a committed read shows {where}")
        _, more = bench.read("go", "uncommitted")
        check(more >= seen + 10 * (len(WRITERS) + 1), f"{where}: {more} records uncommitted, {seen} committed")
        if where == "after cleaning":
            take_down(broker)
            broker.start()
    bench.end(hanging, "hang")
    still, _ = bench.same_for_all("after the open transaction was aborted")
    equal(still, final, "what a committed read shows after the open transaction was aborted")


def take_down(broker) -> None:
    """kill -9. Kafka is stopped, when nobody writes, because a single node of 4.3.0 loses markers: while it stops, and
    after a kill when it starts with the metadata of before, no partition has a leader. Its coordinator takes that for
    "deleted" and writes no marker; the transaction is complete all the same. So a commit that was acknowledged is
    not there afterwards, or records of an aborted transaction are."""
    if broker.name == "kafka":
        broker.stop()
    else:
        broker.kill9()


class Bank:
    def __init__(self, context, broker, balances: str, ledger: str, draw: random.Random):
        self.context, self.broker, self.draw = context, broker, draw
        self.topics = [balances, ledger]
        self.children: dict[str, subprocess.Popen] = {}

    # Writers.

    def log(self, who: str):
        return self.context.folder / f"{who}.transactions"

    def command(self, who: str, name: str, *arguments) -> list:
        at = [self.broker.bootstrap, *self.topics, *map(str, arguments)]
        return {"go": [GO_DRIVER, f"bank_{name}", *at],
                "java": self.context.java_command("lastword.compat.Driver", f"bank_{name}", *at),
                "python": [VENV_PYTHON, COMPAT / "python" / "bank.py", name, *at]}[who]

    def start(self, who: str) -> None:
        command = self.command(who, "write", WRITERS.index(who), ACCOUNTS, self.draw.randrange(1 << 31),
                               self.log(who))
        self.children[who] = self.spawn(command, who)

    def spawn(self, command: list, name: str) -> subprocess.Popen:
        with open(self.context.folder / f"{name}.out", "ab") as out:
            return spawn(command, stdin=subprocess.PIPE, stdout=out, stderr=out)

    def start_all(self) -> None:
        for who in WRITERS:
            self.start(who)
        for who in WRITERS:
            self.context.wait_until(lambda: self.noted(who, "committed"), f"{who} has committed once", 40)

    def noted(self, who: str, what: str) -> set[int]:
        """The numbers of the transactions of which the writer has noted this."""
        if not self.log(who).exists():
            return set()
        lines = [line.split() for line in self.log(who).read_text().splitlines()]
        return {int(line[1]) for line in lines if line[0] == what}

    def count(self, what: str) -> int:
        return sum(len(self.noted(who, what)) for who in WRITERS)

    def said(self, name: str) -> str:
        return (self.context.folder / f"{name}.out").read_text(errors="replace")

    def complaint(self, name: str) -> str:
        lines = self.said(name).splitlines()
        return next((line for line in reversed(lines) if line.startswith("FAILED")), " | ".join(lines[-3:]))

    def all_alive(self, when: str) -> None:
        for who, child in self.children.items():
            check(child.poll() is None, f"{who} gave up {when}: {self.complaint(who)}")

    def kill_writer(self, who: str) -> None:
        kill_group(self.children[who])
        self.start(who)

    def stop_all(self) -> None:
        before = {who: max(self.noted(who, "committed"), default=0) for who in WRITERS}
        for child in self.children.values():
            child.stdin.close()
        for who in WRITERS:
            self.end(self.children.pop(who), who)
            check(max(self.noted(who, "committed"), default=0) > before[who], f"{who} did not commit in the end")

    def python(self, name: str, *arguments) -> subprocess.Popen:
        return self.spawn(self.command("python", name, *arguments), name)

    def end(self, child: subprocess.Popen, name: str) -> str:
        """Close its stdin, and what it said in the end."""
        if not child.stdin.closed:
            child.stdin.close()
        try:
            code = child.wait(timeout=min(120, self.context.left()))
        except subprocess.TimeoutExpired:
            kill_group(child)
            raise Failed(f"{name} did not come to an end: {self.complaint(name)}") from None
        forget(child)
        check(code == 0, f"{name}: {self.complaint(name)}")
        return self.said(name)

    # Readers.

    def read(self, who: str, isolation: str) -> tuple[list[str], int]:
        """What a reader in this language sees, and how many records that were."""
        lines = self.context.driver(self.command(who, "read", len(WRITERS), isolation), 90).splitlines()
        check(lines[-1].startswith("records "), f"{who}: {lines[-1:]}")
        return sorted(lines[:-1]), int(lines[-1].split()[1])

    def same_for_all(self, when: str) -> tuple[list[str], int]:
        """A committed read in each language; they must agree, and every sum must hold."""
        found = {who: self.read(who, "committed") for who in WRITERS}
        for who in WRITERS[1:]:
            equal(found[who], found[WRITERS[0]], f"{when}: what {who} sees and {WRITERS[0]} does not agree")
        lines, count = found[WRITERS[0]]
        shares = [line.split() for line in lines if line.startswith("share")]
        equal(len(shares), len(WRITERS) * ACCOUNTS, f"{when}: shares")
        equal(sum(int(share[-1]) for share in shares), len(WRITERS) * ACCOUNTS * OPENING_SHARE, f"{when}: the sum")
        wrong = [line for line in lines if "commit" not in line.split()]
        check(not wrong, f"{when}: a committed read shows {wrong[:3]}")
        return lines, count

    def check_books(self, lines: list[str]) -> int:
        """The ledger against the balances and against what the writers were told."""
        shares = {}
        for line in (line.split() for line in lines if line.startswith("share")):
            shares[int(line[1]), line[2]] = int(line[-1])
        booked = {key: OPENING_SHARE for key in shares}
        seen: dict[int, set[int]] = {writer: set() for writer in range(len(WRITERS))}
        once = set()
        for line in (line.split() for line in lines if line.startswith("transfer")):
            # transfer WRITER NUMBER STEP FATE FROM TO AMOUNT
            writer, number, step = map(int, line[1:4])
            check((writer, number, step) not in once, f"transfer {line[1:]} is in the ledger twice")
            once.add((writer, number, step))
            seen[writer].add(number)
            booked[writer, line[5]] -= int(line[7])
            booked[writer, line[6]] += int(line[7])
        equal(shares, booked, "shares, and what the ledger makes of them")
        for writer, who in enumerate(WRITERS):
            lost = self.noted(who, "committed") - seen[writer]
            check(not lost, f"{who}: {len(lost)} acknowledged commits are not there, such as {sorted(lost)[:5]}")
            back = self.noted(who, "aborted") & seen[writer]
            check(not back, f"{who}: {len(back)} acknowledged aborts are there, such as {sorted(back)[:5]}")
        return sum(map(len, seen.values()))
