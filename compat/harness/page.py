"""docs/compatibility.md, from the results of the suites."""

from collections import defaultdict

from harness.paths import PROJECT
from harness.results import Outcome, Reasons, differences, read
from harness.suite import FAILED, FLAKY, PASSED, SKIPPED, Suite

PAGE = PROJECT / "docs" / "compatibility.md"
HEAD = """# Compatibility

Clients' own test suites, unmodified, against a single node of real Kafka 4.3.0 and against Lastword. Where a client ships
no tests that run against a broker, a program of ours drives it, one scenario per line. This page is generated:

```
compat/suites --target both --write     # all of it; installs what it needs from the package registries
compat/suites --only NAME               # one suite on Lastword
compat/suites --ci                      # the subset that CI runs, compared with what Kafka did
```

A test that passes on Kafka and does anything else on Lastword is a difference and needs a reason; without one the command
fails. *Skipped* tests, which a suite leaves out by itself, are not in the totals. A test is *flaky* if it passed in one
round and failed in another on the same broker; it counts as not passed. The outcome of every single test is in
[compat/results](../compat/results).
"""


def cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    text = f"{outcome.count(PASSED)} of {outcome.total()}"
    extra = [f"{outcome.count(what)} {what}" for what in (FLAKY, SKIPPED) if outcome.count(what)]
    return text + (f" ({', '.join(extra)})" if extra else "")


def grouped(rows: list[tuple[str, str]]) -> list[str]:
    """Lines `- tests: reason`, tests of the same reason on one line."""
    by_reason = defaultdict(list)
    for test, reason in rows:
        by_reason[reason].append(f"`{test}`")
    return [f"- {', '.join(tests)}: {reason}" for reason, tests in by_reason.items()]


def details(suite: Suite, kafka: Outcome, lastword: Outcome, reasons: Reasons) -> tuple[list[str], int]:
    """The section of a suite, and how many differences have no reason."""
    lines, unexplained = [], 0
    found = differences(suite.name, kafka, lastword.tests, reasons)
    unexplained = sum(one.reason is None for one in found)
    if found:
        lines += ["", "Passes on Kafka, not on Lastword:", ""]
        lines += grouped([(one.test, f"{one.lastword}; {one.reason or '**no reason is known**'}") for one in found])
    on_both = [test for test, result in kafka.tests.items()
               if result == FAILED and lastword.tests.get(test) in (FAILED, FLAKY)]
    if on_both:
        lines += ["", "Fails on both:", ""]
        lines += grouped([(test, reasons.of(suite.name, test) or "not looked into") for test in on_both])
    only_here = [test for test, result in kafka.tests.items()
                 if result == FAILED and lastword.tests.get(test) == PASSED]
    if only_here:
        lines += ["", "Fails on Kafka, passes on Lastword:", ""]
        lines += grouped([(test, reasons.of(suite.name, test) or "not looked into") for test in only_here])
    flaky = [(test, f"{result} on Kafka, {lastword.tests.get(test, 'not run')} on Lastword"
              + (f"; {why}" if (why := reasons.of(suite.name, test)) else ""))
             for test, result in kafka.tests.items() if result == FLAKY]
    if flaky:
        lines += ["", "Without a stable outcome on Kafka:", "", *grouped(flaky)]
    return lines, unexplained


def write(suites: list[Suite], reasons: Reasons) -> int:
    """Write the page; how many differences have no reason."""
    table = ["", "| suite | version | needs | Kafka 4.3.0 | Lastword | last run |", "|---|---|---|---|---|---|"]
    sections, unexplained = [], 0
    for suite in suites:
        kafka, lastword = read(suite.name, "kafka"), read(suite.name, "lastword")
        if kafka is None and lastword is None:
            continue
        version = (lastword or kafka).version
        day = max(one.day for one in (kafka, lastword) if one)
        table.append(f"| {suite.title} (`{suite.name}`) | {version} | {suite.needs} | {cell(kafka)} | {cell(lastword)} "
                     f"| {day} |")
        if kafka and lastword:
            lines, missing = details(suite, kafka, lastword, reasons)
            unexplained += missing
            if lines:
                sections += ["", f"## {suite.title} (`{suite.name}`)", *lines]
    PAGE.write_text(HEAD + "\n".join(table) + "\n" + "\n".join(sections) + "\n" * bool(sections))
    return unexplained
