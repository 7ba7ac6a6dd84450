"""Test suites of Go modules: fetched as the module proxy gives them, copied to where they can be written, run.

A module's archive has its tests. Which of them talk to a broker is read from their source: those from whose body
a function or a text can be reached that means one. Tests that ask no broker say nothing about it and are left out.
"""

import json
import re
import shutil
import time
from pathlib import Path

from harness.install import GO_ENV, once
from harness.process import ProcessFailed, run
from harness.suite import FAILED, PASSED, SKIPPED, Bench, work

OUTCOME = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}


def fetch(module: str, version: str, name: str) -> None:
    """A writable copy of the module in the suite's folder, with everything its tests need fetched."""
    folder = work(name)
    copy = folder / "source"

    def download():
        said = run(["go", "mod", "download", "-json", f"{module}@{version}"], 600, env=GO_ENV, cwd=folder).out
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(json.loads(said)["Dir"], copy)
        for path in [copy, *copy.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        run(["go", "mod", "download"], 600, env=GO_ENV, cwd=copy)

    once(f"module-{name}", [], f"{module}@{version}", copy, download)


def functions(folder: Path) -> dict[str, str]:
    """The text of every top-level function of a package's test files, by name."""
    found = {}
    for file in sorted(folder.glob("*_test.go")):
        parts = re.split(r"^func (?:\([^)]*\) )?(\w+)", file.read_text(), flags=re.M)
        found.update(zip(parts[1::2], parts[2::2]))
    return found


def broker_tests(folder: Path, means_broker: str) -> list[str]:
    """The tests of a package that reach a function in which the pattern is found."""
    texts = functions(folder)
    calls = {name: set(re.findall(r"\w+", text)) & texts.keys() for name, text in texts.items()}
    reaching = {name for name, text in texts.items() if re.search(means_broker, text)}
    while grown := {name for name in texts if name not in reaching and calls[name] & reaching}:
        reaching |= grown
    return sorted(name for name in reaching if re.match(r"Test[^a-z]", name))


def test(bench: Bench, folder: Path, tests: list[str], env: dict, seconds: float) -> dict[str, str]:
    """Run tests of one package; the outcome of each and of its subtests. What did not end has failed."""
    env = {**GO_ENV, **env}
    binary = folder / "package.test"
    built = bench.run(["go", "test", "-c", "-o", binary, "."], 600, env=env, cwd=folder)
    if built.code != 0:
        raise ProcessFailed(f"the tests do not compile: {built.last_words()}")
    end, found, begun, todo = time.monotonic() + seconds, {}, set(), {f"^({'|'.join(tests)})$"}
    # A panic or a hanging test ends the process; what had not come to an end by then is run by another one.
    while todo and time.monotonic() < end:
        before = len(found)
        for pattern in sorted(todo):
            limit = max(10, end - time.monotonic())
            said = bench.run(["go", "tool", "test2json", "-t", binary, "-test.v=test2json", f"-test.run={pattern}",
                              f"-test.timeout={limit:.0f}s"], limit + 60, env=env, cwd=folder)
            found |= outcomes(said.out)
        cut_off = {name for name, outcome in found.items() if outcome is None}
        grown = len(found) - len(cut_off) > before
        todo = patterns([name for name in tests if name not in found], cut_off) if grown else set()
        begun |= found.keys()
        found = {name: outcome for name, outcome in found.items() if outcome is not None}
    # A parent fails with its children, in whichever process they ran.
    failed = {name for name in begun if found.get(name) in (None, FAILED)}
    parents = {name.rpartition("/")[0] for name in failed} | {name.partition("/")[0] for name in failed}
    return {**dict.fromkeys(tests, FAILED), **found, **dict.fromkeys(failed | parents - {""}, FAILED)}


def outcomes(events: str) -> dict[str, str | None]:
    """What test2json says of each test that was begun; None of one that was cut off."""
    found: dict[str, str | None] = {}
    for line in events.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if "Test" in event and event["Action"] in ("run", *OUTCOME):
                found[event["Test"]] = OUTCOME.get(event["Action"])
    return found


def patterns(not_begun: list[str], cut_off: set[str]) -> set[str]:
    """What to ask `go test` for; a test that was cut off in its subtests, by these."""
    subtests: dict[str, list[str]] = {}
    for name in sorted(cut_off):
        parent, _, child = name.partition("/")
        subtests.setdefault(parent, []).append(re.escape(child.partition("/")[0]))
    alone = not_begun + [parent for parent, children in subtests.items() if children == [""]]
    return {f"^({'|'.join(alone)})$"} - {"^()$"} | {
        f"^{parent}$/^({'|'.join(filter(None, children))})$" for parent, children in subtests.items()
        if parent not in alone}
