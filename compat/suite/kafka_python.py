"""kafka-python's own integration tests, which its sdist ships. They take a running broker by KAFKA_URI."""

from harness import pytest
from harness.suite import Bench, Suite

VERSION = "3.0.12"
PACKAGES = [f"kafka-python=={VERSION}", "pytest==8.4.2", "pytest-timeout==2.4.0", "py==1.11.0", "crc32c==2.8",
            "lz4==4.4.5", "zstandard==0.25.0", "python-snappy==0.7.3"]
# The other two files want a broker with TLS and one with SASL.
FILES = [f"test/integration/test_{what}_integration.py" for what in ("admin", "consumer", "producer")]

SERVICE = """
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port


class SpawnedService:
    def __init__(self, *arguments, **named):
        raise RuntimeError("the broker runs already")
"""


def install() -> None:
    pytest.install("kafka-python", PACKAGES, f"kafka-python=={VERSION}")
    # The sdist leaves out two files that the tests import. Of service.py a broker that runs already needs only a name.
    tests = pytest.source("kafka-python") / "test"
    (tests / "__init__.py").touch()
    (tests / "service.py").write_text(SERVICE)


def run(bench: Bench) -> dict[str, str]:
    # KAFKA_ROOT must exist, though nothing of it is used with a broker that runs already.
    env = {"KAFKA_URI": f"kafka://{bench.bootstrap}", "KAFKA_VERSION": "4.3.0", "KAFKA_ROOT": str(bench.folder)}
    return pytest.run_tests(bench, "kafka-python", FILES, ["--timeout=120", "-rA"], env)


SUITE = Suite("kafka-python", "kafka-python, its integration tests", VERSION, "Python 3.11, its sdist", install, run,
              configs={"node.id": 0, "num.partitions": 4, "group.min.session.timeout.ms": 1000}, ci="all")
