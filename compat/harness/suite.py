"""What a suite is, and what it gets: a broker, a folder, a time limit, and the tests that are wanted.

A module of `suite/` has `SUITE = Suite(...)` or `SUITES = [Suite(...), ...]`. The function `run` gets a `Bench`
and returns the outcome of each test by name; names are stable from run to run and from broker to broker.
"""

import importlib
import pkgutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from harness import broker as brokers
from harness.process import ProcessFailed, Result, run
from harness.paths import WORK

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# Passed in one round and failed in another, on the same broker.
FLAKY = "flaky"
# A test that every suite has: the broker was alive at the end, had not panicked and stopped cleanly.
BROKER_TEST = "(the broker lives on and stops cleanly)"


@dataclass
class Suite:
    """`name` is that of its result files and of `--only`; `version` and `needs` are for the page.

    `configs` are settings of the broker beyond the harness's own. `ci` lists the tests of the CI subset: None for
    none, "all" for all. `seconds` bounds one run on one broker.
    """
    name: str
    title: str
    version: str
    needs: str
    install: Callable[[], None]
    run: Callable[["Bench"], dict[str, str]]
    configs: dict = field(default_factory=dict)
    ci: list[str] | str | None = None
    seconds: float = 900
    # Whether one broker serves the whole run. Suites that start brokers of their own say no.
    shares_broker: bool = True
    # For suites that know their broker by a port and not by an address. None: any that is free.
    port: int | None = None


class Bench:
    """One run of a suite on one target. Everything it starts is ended by `close`."""

    def __init__(self, suite: Suite, target: str, folder: Path, selected: list[str] | None):
        self.suite, self.target, self.folder = suite, target, folder
        # The tests that are wanted, None for all. A suite that cannot choose runs more; that does no harm.
        self.selected = selected
        self.deadline = time.monotonic() + suite.seconds
        self._own: list[brokers.Broker] = []
        self._shared: brokers.Broker | None = None

    @property
    def broker(self) -> brokers.Broker:
        """The broker of the suite, started when first asked for."""
        if self._shared is None:
            self._shared = self.start_broker()
        return self._shared

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    def start_broker(self, configs: dict | None = None, target: str | None = None) -> brokers.Broker:
        made = brokers.make(target or self.target, self.folder / f"broker{len(self._own)}",
                            {**self.suite.configs, **(configs or {})})
        if self.suite.port and not self._own:
            made.port = self.suite.port
        self._own.append(made)
        made.start()
        return made

    def left(self) -> float:
        return max(1.0, self.deadline - time.monotonic())

    def run(self, argv, seconds: float | None = None, check: bool = False, **more) -> Result:
        """A child process; what it said is kept in the folder of the run as well."""
        try:
            result = run(argv, min(seconds or self.left(), self.left()), check=check, **more)
        except ProcessFailed as problem:
            self.log(str(problem))
            raise
        self.log(f"$ {' '.join(map(str, argv))}\n{result.out}\n{result.err}")
        return result

    def log(self, text: str) -> None:
        with open(self.folder / "output.txt", "a") as out:
            out.write(text + "\n")

    def close(self) -> str | None:
        """Stop the brokers; what went wrong with one of them, if anything did."""
        problem = None
        for broker in self._own:
            try:
                if broker.child is not None and not broker.alive():
                    problem = f"the broker died: {broker.last_words()}"
                broker.stop()
            except ProcessFailed as why:
                problem = problem or str(why)
            broker.kill9()
            panics = [line for line in broker.said().splitlines() if "panicked at" in line]
            if panics:
                problem = f"the broker panicked: {panics[0][:300]}"
        return problem


def load() -> list[Suite]:
    """Every suite there is, in the order of their names."""
    import suite
    found = []
    for module in pkgutil.iter_modules(suite.__path__):
        loaded = importlib.import_module(f"suite.{module.name}")
        if hasattr(loaded, "SUITE"):
            found.append(loaded.SUITE)
        found += getattr(loaded, "SUITES", [])
    return sorted(found, key=lambda one: one.name)


def work(name: str) -> Path:
    """Where a suite installs: a folder below compat/.work that only it uses."""
    folder = WORK / "suites" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
