"""franz-go's own integration tests of its client (pkg/kgo). The tests of pkg/kadm ask no broker."""

import os

from harness import gotest
from harness.suite import Bench, Suite

VERSION = "v1.22.2"
# Records through each chain of TestGroupETL and TestTxnEtl. The suite's own default is 500,000, of which two cores
# would be busy for an hour; KGO_TEST_RECORDS asks for another number, as it does of the suite itself.
RECORDS, CI_RECORDS = int(os.environ.get("KGO_TEST_RECORDS", 50_000)), 5_000


def install() -> None:
    gotest.fetch("github.com/twmb/franz-go", VERSION, "franz-go")


def run(bench: Bench) -> dict[str, str]:
    folder = gotest.work("franz-go") / "source" / "pkg" / "kgo"
    tests = gotest.broker_tests(folder, r"newTestClient|getSeedBrokers|\badm\(\)")
    if bench.selected is not None:
        tests = [test for test in tests if any(one.split("/")[0] == test for one in bench.selected)]
    return gotest.test(bench, folder, tests, {
        "KGO_SEEDS": bench.bootstrap, "KGO_TEST_RF": "1", "KGO_LOG_LEVEL": "none",
        "KGO_TEST_STABLE_FETCH": "true", "KGO_TEST_UNSAFE": "1",
        "KGO_TEST_RECORDS": str(RECORDS if bench.selected is None else CI_RECORDS),
    }, bench.suite.seconds - 60)


SUITE = Suite("franz-go", f"franz-go (kgo), its own integration tests; {RECORDS:,} records in each chain of clients", VERSION.removeprefix("v"), "Go", install, run,
              seconds=1800)
