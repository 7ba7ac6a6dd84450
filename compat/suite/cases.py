"""The cases of compat/run that real Kafka passes too, one suite per client. They are ours; the clients are not."""

import shutil

from harness import main as runner
from harness.case import BOTH, CASES
from harness.paths import RUN
from harness.suite import FAILED, PASSED, Bench, Suite

# Beginning of the cases' names, title, version of the client.
FAMILIES = [
    ("kcat", "kcat, our cases", "1.7.1 of Debian 12", "Debian's kcat"),
    ("java", "Java clients, our cases", "4.3.0", "Java 17, Maven"),
    ("streams", "Kafka Streams, our cases and Kafka's own smoke tests", "4.3.0", "Java 17, Maven"),
    ("connect", "Kafka Connect with Kafka's file connectors, our cases", "4.3.0", "Java 17, Maven"),
    ("mirror", "MirrorMaker 2, our cases", "4.3.0", "Java 17, Maven"),
    ("tools", "Kafka's console tools, our cases", "4.3.0", "Java 17, Maven"),
    ("confluent", "confluent-kafka for Python, our cases", "2.16.1", "Python 3.11"),
    ("transactions", "Transactions: Java clients and tools, our cases", "4.3.0", "Java 17, Maven"),
    ("franz", "franz-go (kgo, kadm), our cases", "1.22.2", "Go"),
]


def suite_of(prefix: str, title: str, version: str, needs: str) -> Suite:
    runner.load_cases()
    chosen = [case for case in CASES if case.name.startswith(prefix + "_") and case.targets == BOTH]

    def run(bench: Bench) -> dict[str, str]:
        for old in [*(RUN / bench.target / case.name for case in chosen),
                    *(RUN / bench.target).glob("shared*")]:
            shutil.rmtree(old, ignore_errors=True)
        shared, found = runner.Shared(bench.target), {}
        for case in chosen:
            if bench.selected is None or case.name in bench.selected:
                why, _ = runner.run_case(case, bench.target, True, shared)
                bench.log(f"{case.name}: {why or 'passed'}")
                found[case.name] = FAILED if why else PASSED
        shared.stop()
        return found

    return Suite(f"cases-{prefix}", title, version, needs, install=lambda: None, run=run,
                 seconds=sum(case.seconds for case in chosen), shares_broker=False)


SUITES = [suite_of(*family) for family in FAMILIES]
