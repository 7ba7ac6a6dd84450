"""The command line of compat/suites: which suites, on which brokers; one line per test that did not pass."""

import argparse
import shutil
import signal
import sys
import time

from harness import broker as brokers
from harness import install, page, process, results
from harness.paths import RUN
from harness.suite import BROKER_TEST, FAILED, PASSED, SKIPPED, Bench, Suite, load


# Clients' own tests wait for seconds of the wall clock and have races of their own, which are not ours to mend: in
# CI so many failures of a suite may run once more. A broker that died, or more failures than these, stay failures.
SECOND_CHANCES = 2


class SuiteTimeout(BaseException):
    """Raised in the main thread when a suite is over its limit. Not an Exception: no suite eats it."""


def run_suite(suite: Suite, target: str, selected: list[str] | None) -> dict[str, str] | None:
    """The outcome of each test, or None when the suite itself could not be run."""
    folder = RUN / f"suites-{target}" / suite.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bench = Bench(suite, target, folder, selected)

    def over_time(*_):
        raise SuiteTimeout()

    signal.signal(signal.SIGALRM, over_time)
    # Child processes have the suite's limit; this is for a suite that hangs by itself.
    signal.setitimer(signal.ITIMER_REAL, suite.seconds + 30)
    tests, why = None, None
    try:
        tests = suite.run(bench)
    except SuiteTimeout:
        why = f"not done within {suite.seconds:.0f} s"
    except Exception as problem:
        why = f"{type(problem).__name__}: {problem}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    problem = bench.close()
    if problem:
        print(f"# {target}/{suite.name}: {problem}", flush=True)
    if why:
        print(f"FAILED {target}/{suite.name}: {' '.join(why.split())[:800]}", flush=True)
        return None
    if suite.shares_broker:
        tests[BROKER_TEST] = FAILED if problem else PASSED
    return tests


def ci_tests(suite: Suite, kafka: results.Outcome) -> list[str]:
    return list(kafka.tests) if suite.ci == "all" else list(suite.ci)


def passed_alone(suite: Suite, target: str, bad: set[str]) -> set[str]:
    """Those of `bad` that pass when they run once more, without the rest of their suite."""
    again = run_suite(suite, target, sorted(bad)) or {}
    passed = {test for test in bad if again.get(test) == PASSED}
    for test in sorted(passed):
        print(f"# {target}/{suite.name}: {test}: failed, and passed when it ran again", flush=True)
    return passed


def run_target(suite: Suite, target: str, arguments, reasons) -> tuple[int, int]:
    """Run and report; how many passed, and how many count as failed."""
    kafka = results.read(suite.name, "kafka")
    selected = arguments.test or None
    if arguments.ci:
        if kafka is None:
            print(f"FAILED {suite.name}: there are no results of Kafka to compare with", flush=True)
            return 0, 1
        selected = None if suite.ci == "all" else ci_tests(suite, kafka)
    begin = time.monotonic()
    tests = run_suite(suite, target, selected)
    if tests is None:
        return 0, 1
    if selected is not None:
        wanted = {*selected, BROKER_TEST}
        tests = {test: result for test, result in tests.items() if test in wanted}
        if kafka:
            kafka.tests = {test: result for test, result in kafka.tests.items() if test in wanted}
    else:
        outcome = results.keep(suite, target, tests, arguments.again)
        tests = outcome.tests
    bad = {test for test, result in tests.items() if result not in (PASSED, SKIPPED)}
    explained = {}
    if target == "lastword" and kafka:
        found = results.differences(suite.name, kafka, tests, reasons)
        bad = {one.test for one in found if one.reason is None}
        if arguments.ci and 0 < len(bad) <= SECOND_CHANCES and BROKER_TEST not in bad:
            tests.update(dict.fromkeys(passed_alone(suite, target, bad), PASSED))
            bad -= {test for test in bad if tests.get(test) == PASSED}
        explained = {one.test: one.reason for one in found if one.reason is not None}
        # What fails although it fails on Kafka too, for those who run the suite.
        for test in sorted(t for t, r in tests.items() if r == FAILED and t not in bad and t not in explained):
            print(f"# {target}/{suite.name}: {test}: failed, and does not pass on Kafka", flush=True)
    for test, reason in sorted(explained.items()):
        print(f"# {target}/{suite.name}: {test}: {tests.get(test, results.NOT_RUN)}: {reason}", flush=True)
    for test in sorted(bad):
        print(f"FAILED {target}/{suite.name}: {test}: {tests.get(test, results.NOT_RUN)}", flush=True)
    passed = sum(result == PASSED for result in tests.values())
    print(f"ok {target}/{suite.name}: {passed} of {sum(r != SKIPPED for r in tests.values())} passed "
          f"({time.monotonic() - begin:.0f} s)", flush=True)
    # On Kafka a failing test is a fact about the test; it is written down, and no failure of the run.
    return passed, len(bad) if target == "lastword" else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="compat/suites", description=__doc__)
    parser.add_argument("--target", choices=["lastword", "kafka", "both"], default="lastword")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="a suite, or the beginning of the names of several")
    parser.add_argument("--test", action="append", default=[], metavar="NAME",
                        help="only this test, where the suite can choose; the results are not kept")
    parser.add_argument("--again", action="store_true",
                        help="another round: tests whose outcome is not that of the last one become flaky")
    parser.add_argument("--write", action="store_true", help="write docs/compatibility.md from all results")
    parser.add_argument("--page", action="store_true", help="only write the page; run nothing")
    parser.add_argument("--ci", action="store_true",
                        help="the subset for CI, on Lastword, compared with the kept results of Kafka")
    parser.add_argument("--list", action="store_true", help="print the names of the suites")
    arguments = parser.parse_args()
    everything = load()
    chosen = [suite for suite in everything
              if (not arguments.only or any(suite.name.startswith(only) for only in arguments.only))
              and not (arguments.ci and suite.ci is None)]
    if arguments.list:
        print("\n".join(f"{suite.name}: {suite.title} {suite.version}" for suite in chosen))
        return 0
    if not chosen:
        parser.error("no suite has such a name; see --list")
    targets = ["kafka", "lastword"] if arguments.target == "both" else [arguments.target]
    if arguments.ci:
        targets = ["lastword"]

    def interrupted(*_):
        process.kill_all()
        sys.exit(130)

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    reasons = results.Reasons()
    passed = failed = 0
    try:
        if not arguments.page:
            install.everything()
            if "lastword" in targets:
                brokers.Lastword.binary = install.lastword_binary()
            for suite in chosen:
                try:
                    suite.install()
                except process.ProcessFailed as problem:
                    print(f"FAILED {suite.name}: not installed: {problem}", flush=True)
                    failed += 1
                    continue
                for target in targets:
                    one, other = run_target(suite, target, arguments, reasons)
                    passed, failed = passed + one, failed + other
    finally:
        process.kill_all()
    if arguments.write or arguments.page:
        unexplained = page.write(everything, reasons)
        print(f"# wrote {page.PAGE.name}; {unexplained} differences without a reason", flush=True)
        for suite, pattern, _ in reasons.lines:
            if (suite, pattern) not in reasons.used:
                print(f"# reasons.toml: {suite}: {pattern!r} matches nothing", flush=True)
        if arguments.page:
            return 1 if unexplained else 0
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
