"""What a case is, and what it gets: a broker, a folder, clients, a time limit."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from harness import broker as brokers
from harness.paths import CLASSES, COMPAT, GO_DRIVER, LIBS, LOG4J_TOOLS, VENV_PYTHON
from harness.process import ProcessFailed, Result, run
from harness.wire import wait_for_leader

BOTH = ("lastword", "kafka")
CASES: list["Case"] = []


class Failed(Exception):
    """What a case says when the broker did something else than it should."""


def check(condition, why: str) -> None:
    if not condition:
        raise Failed(why)


def equal(found, wanted, what: str) -> None:
    if found != wanted:
        raise Failed(f"{what}: found {_short(found)}, wanted {_short(wanted)}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


@dataclass
class Case:
    name: str
    run: Callable
    seconds: float
    targets: tuple
    is_long: bool = False


def case(name: str, seconds: float = 60, targets: tuple = BOTH, is_long: bool = False):
    """Register a case. `seconds` is its limit, after which it has failed. A long one is left out of --fast."""
    def register(function):
        CASES.append(Case(name, function, seconds, targets, is_long))
        return function
    return register


class Context:
    """One case on one target. Everything it starts is ended by `close`."""

    def __init__(self, case: Case, target: str, fast: bool, folder: Path, shared):
        self.case, self.target, self.fast, self.folder = case, target, fast, folder
        self._shared = shared
        self.deadline = time.monotonic() + case.seconds
        self.own: list[brokers.Broker] = []
        self.notes: list[str] = []
        # Whether Kafka's file checker should find nothing wrong with what this case leaves.
        self.leaves_sound_files = True

    # Brokers.

    @property
    def broker(self) -> brokers.Broker:
        """The broker that plain cases share; started when first asked for."""
        return self._shared.get()

    def start_broker(self, configs: dict | None = None, data: Path | None = None,
                     target: str | None = None) -> brokers.Broker:
        """A broker for this case alone."""
        folder = self.folder / f"broker{len(self.own)}"
        made = brokers.make(target or self.target, folder, configs, data)
        self.own.append(made)
        made.start()
        return made

    def shared_dirs(self) -> list[Path]:
        """Data directories of brokers that were stopped cleanly, of this and earlier cases."""
        return self._shared.finished

    def stop_shared(self) -> None:
        """So that its files can be read; the next plain case gets a new one."""
        self._shared.stop()

    def topic(self, suffix: str = "t") -> str:
        return f"{self.case.name.replace('_', '-')}-{suffix}"

    def create_topic(self, suffix: str = "t", partitions: int = 1, configs: dict | None = None,
                     on: brokers.Broker | None = None) -> str:
        name, on = self.topic(suffix), on or self.broker
        with on.connect() as connection:
            connection.create_topic(name, partitions, configs)
        wait_for_leader(on.address, name, partitions, 10)
        return name

    def set_topic_configs(self, topic: str, configs: dict, on: brokers.Broker | None = None) -> None:
        with (on or self.broker).connect() as connection:
            connection.set_topic_configs(topic, configs)

    # Time.

    def left(self) -> float:
        return max(0.1, self.deadline - time.monotonic())

    def wait_until(self, condition, what: str, seconds: float | None = None, pause: float = 0.05):
        """Poll until the condition holds; its last value."""
        end = min(self.deadline - 1, time.monotonic() + (seconds or self.case.seconds))
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failed(f"waited in vain until {what}")
            time.sleep(pause)

    def wait_cleaned(self, on: brokers.Broker, topic: str, partition: int = 0,
                     seconds: float = 60) -> None:
        """Wait until every sealed segment has been cleaned, as the checkpoint file says."""
        def clean():
            bases = on.segment_bases(topic, partition)
            return (on.checkpoint(topic, partition) or -1) >= bases[-1] > 0
        try:
            self.wait_until(clean, "cleaned", seconds)
        except Failed:
            raise Failed(
                f"{topic}-{partition} was not cleaned: cleaner-offset-checkpoint says "
                f"{on.checkpoint(topic, partition)}, segments start at "
                f"{on.segment_bases(topic, partition)[-3:]}") from None

    def note(self, text: str) -> None:
        """Shown after the name of the case."""
        self.notes.append(text)

    # Clients.

    def run(self, argv, stdin=None, check: bool = True, seconds: float = 60, **more) -> Result:
        return run(argv, min(seconds, self.left()), stdin, check, **more)

    def java_command(self, main: str, *arguments, quick: bool = True, heap: str = "512m") -> list:
        # C1 alone starts a short-lived tool in half the time.
        tuning = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if quick else ["-XX:+UseParallelGC"]
        return ["java", f"-Xmx{heap}", *tuning, f"-Dlog4j2.configurationFile={LOG4J_TOOLS}",
                "-cp", f"{CLASSES}:{LIBS}/*", main, *arguments]

    def tool(self, main: str, *arguments, stdin=None, check: bool = True, seconds: float = 60,
             quick: bool = True) -> Result:
        """One of Kafka's own tools, as a process."""
        return self.run(self.java_command(main, *arguments, quick=quick), stdin, check, seconds)

    def driver(self, argv, seconds: float) -> str:
        """A driver program: 0 and its output, or a line `FAILED: why`."""
        result = self.run(argv, check=False, seconds=seconds)
        if result.code == 0:
            return result.out
        for line in reversed((result.out + "\n" + result.err).splitlines()):
            if line.startswith("FAILED: "):
                raise Failed(line[len("FAILED: "):][:600])
        raise ProcessFailed(f"driver ended with {result.code}: {result.last_words()}")

    def java(self, name: str, *arguments, on: brokers.Broker | None = None,
             seconds: float = 60) -> str:
        at = (on or self.broker).bootstrap
        return self.driver(
            self.java_command("lastword.compat.Driver", name, at, *map(str, arguments)), seconds)

    def confluent(self, name: str, *arguments, on: brokers.Broker | None = None,
                  seconds: float = 60) -> str:
        at = (on or self.broker).bootstrap
        return self.driver([VENV_PYTHON, COMPAT / "python" / "driver.py", name, at,
                            *map(str, arguments)], seconds)

    def franz(self, name: str, *arguments, on: brokers.Broker | None = None,
              seconds: float = 60) -> str:
        at = (on or self.broker).bootstrap
        return self.driver([GO_DRIVER, name, at, *map(str, arguments)], seconds)

    # The end.

    def close(self) -> None:
        """Stop what this case started; a broker that panicked or stopped badly is a failure."""
        problems = []
        for broker in self.own:
            try:
                broker.stop()
            except Exception as problem:
                problems.append(str(problem))
            broker.kill9()
            if "panicked at" in broker.said():
                line = next(l for l in broker.said().splitlines() if "panicked at" in l)
                problems.append(f"the broker panicked: {line[:300]}")
        if problems:
            raise Failed("; ".join(problems))
