"""Results of suites: the files of compat/results, the reasons, and what is a difference.

A difference is a test that passes on Kafka and does something else on Lastword. It is explained by a line of
`results/reasons.toml`: under the name of the suite, `"test name" = "reason"`, where `*` stands for anything.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import date

from harness.paths import COMPAT
from harness.suite import FAILED, FLAKY, PASSED, SKIPPED, Suite

RESULTS = COMPAT / "results"
NOT_RUN = "not run"


@dataclass
class Outcome:
    """What one suite did on one broker."""
    version: str
    day: str
    tests: dict[str, str]

    def count(self, what: str) -> int:
        return sum(result == what for result in self.tests.values())

    def total(self) -> int:
        return len(self.tests) - self.count(SKIPPED)


def path(suite: str, target: str):
    return RESULTS / f"{suite}.{target}.json"


def read(suite: str, target: str) -> Outcome | None:
    file = path(suite, target)
    if not file.exists():
        return None
    raw = json.loads(file.read_text())
    return Outcome(raw["version"], raw["date"], raw["tests"])


def keep(suite: Suite, target: str, tests: dict[str, str], again: bool) -> Outcome:
    """Write the results down. `again` puts them beside those that are there: what differs is flaky."""
    old = read(suite.name, target)
    if again and old and old.version == suite.version:
        tests = {name: merge(old.tests.get(name), tests.get(name)) for name in {*old.tests, *tests}}
    outcome = Outcome(suite.version, date.today().isoformat(), dict(sorted(tests.items())))
    RESULTS.mkdir(exist_ok=True)
    path(suite.name, target).write_text(json.dumps(
        {"version": outcome.version, "date": outcome.day, "tests": outcome.tests}, indent=0, ensure_ascii=False) + "\n")
    return outcome


def merge(one: str | None, other: str | None) -> str:
    found = {result for result in (one, other) if result is not None}
    if len(found) == 1:
        return found.pop()
    return FLAKY if found & {PASSED, FLAKY} else FAILED


class Reasons:
    """The lines of reasons.toml, and which of them were needed."""

    def __init__(self):
        file = RESULTS / "reasons.toml"
        raw = tomllib.loads(file.read_text()) if file.exists() else {}
        self.lines = [(suite, pattern, reason) for suite, lines in raw.items() for pattern, reason in lines.items()]
        self.used: set[tuple[str, str]] = set()

    def of(self, suite: str, test: str) -> str | None:
        for name, pattern, reason in self.lines:
            if name == suite and matches(pattern, test):
                self.used.add((name, pattern))
                return reason
        return None


def matches(pattern: str, test: str) -> bool:
    """`*` alone is special: names of tests are full of brackets."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), test, re.DOTALL) is not None


@dataclass
class Difference:
    test: str
    lastword: str
    reason: str | None


def differences(suite: str, kafka: Outcome, tests: dict[str, str], reasons: Reasons) -> list[Difference]:
    """Every test that passes on Kafka and does something else in `tests`, which are Lastword's."""
    return [Difference(test, tests.get(test, NOT_RUN), reasons.of(suite, test))
            for test, result in kafka.tests.items()
            if result == PASSED and tests.get(test, NOT_RUN) != PASSED]
