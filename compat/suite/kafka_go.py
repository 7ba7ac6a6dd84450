"""kafka-go's own tests. They want a broker that calls itself localhost:9092; the port is written into the copy."""

import re

from harness import gotest
from harness.suite import Bench, Suite

VERSION = "v0.4.51"


def install() -> None:
    gotest.fetch("github.com/segmentio/kafka-go", VERSION, "kafka-go")


def run(bench: Bench) -> dict[str, str]:
    folder = gotest.work("kafka-go") / "source"
    port = str(bench.broker.port)
    given = folder / "port"
    old = given.read_text() if given.exists() else "9092"
    # The port is in the client as well, as the one of addresses without any.
    for file in folder.glob("*.go"):
        file.write_text(re.sub(rf"\b{old}\b", port, file.read_text()))
    given.write_text(port)
    tests = gotest.broker_tests(folder, rf"localhost:{port}|newLocalClient|TCP\(")
    # Addresses and their ports; no broker is asked.
    tests.remove("TestNetworkAddress")
    if bench.selected is not None:
        tests = [test for test in tests if any(one.split("/")[0] == test for one in bench.selected)]
    return gotest.test(bench, folder, tests, {"KAFKA_VERSION": "4.3.0", "KAFKA_SKIP_NETTEST": "1"},
                       bench.suite.seconds - 60)


SUITE = Suite("kafka-go", "kafka-go, its own tests", VERSION.removeprefix("v"), "Go", install, run, seconds=900,
              configs={"advertised.listeners": "PLAINTEXT://localhost:{port}", "auto.create.topics.enable": "true",
                       "message.max.bytes": 200_000_000})
