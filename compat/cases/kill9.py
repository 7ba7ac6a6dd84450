"""kill -9 while producers write and the cleaner runs, half of the time in the middle of a cleaning. Lastword only.

Two producers (confluent-kafka and Java, both idempotent with acks=all) write rising numbers
over a few keys, and keep a ledger of what was acknowledged. They live through every restart.
In the end the log is held against the ledgers: a lost record would show as an offset that was
acknowledged twice, an offset that holds something else, or a key that fell back.
What a kill leaves half done must be gone after the next start.
"""

import os
import random
import subprocess
import time
from collections import defaultdict

from harness.case import Failed, case, check, equal
from harness.kcat import read
from harness.paths import COMPAT, VENV_PYTHON
from harness.process import forget, kill_group, spawn

KEYS = 8
LIMIT_SECONDS = 2.0
# How long a round waits for a cleaning to be in the middle of something.
HUNT_SECONDS = 2.0
# What is there only while a group is rewritten, or swapped in.
OF_CLEANING = (".cleaned", ".replace")
HALF_DONE = (*OF_CLEANING, ".swap", ".deleted", ".tmp")
OF_SEGMENT = (".index", ".timeindex", ".txnindex", ".keyindex")


@case("kill9", seconds=420, targets=("lastword",))
def kill9(context):
    rounds = 8 if context.fast else 50
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    # Slow enough to be met in the middle of a group, fast enough to keep up.
    broker = context.start_broker({
        "log.cleaner.backoff.ms": 50, "log.cleaner.io.max.bytes.per.second": 8 << 20})
    topic = context.create_topic(partitions=2, on=broker, configs={
        "cleanup.policy": "compact", "internal.segment.bytes": 64 << 10,
        "min.cleanable.dirty.ratio": 0.01, "delete.retention.ms": 100})
    producers = start_producers(context, broker, topic)
    slowest, in_cleaning, in_indexing = 0.0, 0, 0
    for number in range(rounds):
        time.sleep(draw.uniform(0.02, 0.5))
        for who, child in producers.items():
            check(child.poll() is None, f"{who} gave up in round {number}: {complaint(context, who)}")
        # A group of small segments takes a few milliseconds: mostly there is no time to lose.
        if number % 4:
            wait_for_cleaning(broker, topic)
            time.sleep(0 if number % 2 else draw.uniform(0, 0.004))
        broker.kill9()
        killed_at = time.time()
        left = [file.name for file in files(broker, topic) if file.name.endswith(HALF_DONE)]
        in_cleaning += any(name.endswith(OF_CLEANING) for name in left)
        in_indexing += any(".keyindex." in name for name in left)
        slowest = max(slowest, broker.start())
        check_nothing_is_left(broker, topic, killed_at, f"round {number}, seed {seed}")
    time.sleep(1)
    stop_producers(context, producers)
    context.note(f"{rounds} rounds, {in_cleaning} killed a cleaning and {in_indexing} the building "
                 f"of a key index, slowest restart to first answer {slowest:.2f} s")
    acknowledged = kept = 0
    for partition in (0, 1):
        ledger = read_ledger(ledger_path(context, partition))
        rows = read(context, topic, "-p", str(partition), on=broker)
        compare(ledger, rows, f"partition {partition}, seed {seed}")
        acknowledged, kept = acknowledged + len(ledger), kept + len(rows)
    context.note(f"{acknowledged} acknowledged, {kept} left")
    check(kept < acknowledged / 2, f"{kept} of {acknowledged} are left: the cleaner did not run")
    check(in_cleaning >= rounds / 4, f"only {in_cleaning} of {rounds} kills met a cleaning")
    check(slowest <= LIMIT_SECONDS, f"restart to first answer took {slowest:.2f} s")


def files(broker, topic: str) -> list:
    """The files of the partitions and of the log directory itself."""
    found = []
    for folder in (broker.partition_dir(topic).parent, *(broker.partition_dir(topic, p) for p in (0, 1))):
        found += [entry for entry in os.scandir(folder) if entry.is_file()]
    return found


def wait_for_cleaning(broker, topic: str) -> None:
    end = time.monotonic() + HUNT_SECONDS
    while time.monotonic() < end:
        if any(file.name.endswith(OF_CLEANING) for file in files(broker, topic)):
            return


def check_nothing_is_left(broker, topic: str, killed_at: float, where: str) -> None:
    """What was half done at the kill is gone. The cleaner is at work again, so new files come and go."""
    end = time.monotonic() + 5
    while left := left_behind(broker, topic, killed_at):
        check(time.monotonic() < end, f"{left} are left behind ({where})")
        time.sleep(0.02)


def left_behind(broker, topic: str, killed_at: float) -> list[str]:
    left = []
    for file in files(broker, topic):
        try:
            is_old = file.stat().st_ctime <= killed_at
        except FileNotFoundError:
            continue
        stem, extension = os.path.splitext(file.path)
        is_orphan = extension in OF_SEGMENT and not os.path.exists(f"{stem}.log")
        if is_orphan or is_old and file.name.endswith(HALF_DONE):
            left.append(file.name)
    return left


def ledger_path(context, partition: int):
    return context.folder / f"ledger{partition}"


def start_producers(context, broker, topic: str) -> dict:
    commands = {
        "confluent": [VENV_PYTHON, COMPAT / "python" / "driver.py", "ledger", broker.bootstrap,
                      topic, "0", str(KEYS), ledger_path(context, 0)],
        "java": context.java_command("lastword.compat.Driver", "ledger", broker.bootstrap, topic,
                                     "1", str(KEYS), str(ledger_path(context, 1))),
    }
    producers = {}
    for who, command in commands.items():
        with open(context.folder / f"{who}.out", "wb") as out:
            producers[who] = spawn(command, stdin=subprocess.PIPE, stdout=out, stderr=out)
    for partition in (0, 1):
        context.wait_until(
            lambda: ledger_path(context, partition).exists()
            and ledger_path(context, partition).stat().st_size > 0,
            f"producer {partition} has its first answers", 30)
    return producers


def complaint(context, who: str) -> str:
    said = (context.folder / f"{who}.out").read_text(errors="replace").splitlines()
    return next((line for line in reversed(said) if line.startswith("FAILED")), " ".join(said[-3:]))


def stop_producers(context, producers: dict) -> None:
    for who, child in producers.items():
        child.stdin.close()
        try:
            code = child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            kill_group(child)
            raise Failed(f"{who} could not deliver its last records within 60 s") from None
        forget(child)
        check(code == 0, f"{who}: {complaint(context, who)}")


def read_ledger(path) -> list[tuple[int, str, int]]:
    """(offset, key, number) of every acknowledged record, in the order of the numbers."""
    entries = []
    for line in path.read_text().splitlines():
        _, offset, key, number = line.split()
        entries.append((int(offset), key, int(number)))
    return sorted(entries, key=lambda entry: entry[2])


def compare(ledger, rows, where: str) -> None:
    # A client may be told "duplicate" without an offset; then only the number counts.
    known = [entry for entry in ledger if entry[0] >= 0]
    holders = defaultdict(list)
    for offset, _, number in known:
        holders[offset].append(number)
    twice = {offset: numbers for offset, numbers in holders.items() if len(numbers) > 1}
    check(not twice, f"{len(twice)} offsets were acknowledged twice ({where}): "
          f"{sorted(twice.items())[:3]}")
    for (before, _, _), (after, _, number) in zip(known, known[1:]):
        check(before < after, f"number {number} was acknowledged at {after}, after {before} ({where})")

    offsets = [row.offset for row in rows]
    check(all(a < b for a, b in zip(offsets, offsets[1:])), f"offsets do not rise ({where})")
    acknowledged = {offset: (key, number) for offset, key, number in known}
    last: dict[str, int] = {}
    for row in rows:
        number = int(row.value.split(" ", 1)[0])
        wanted = acknowledged.get(row.offset)
        check(wanted in (None, (row.key, number)), f"offset {row.offset} was acknowledged as "
              f"{wanted} and holds {(row.key, number)} ({where})")
        check(number > last.get(row.key, -1), f"key {row.key} falls from {last.get(row.key)} to "
              f"{number} at offset {row.offset} ({where})")
        last[row.key] = number
    newest: dict[str, int] = {}
    for _, key, number in ledger:
        newest[key] = max(number, newest.get(key, -1))
    # Everything was acknowledged in the end, so the last word is known exactly.
    equal(last, newest, f"last number of each key ({where})")
