"""aiokafka. Its packages on PyPI ship no tests, so a program of ours drives it: python/aiokafka_driver.py."""

from harness import pytest
from harness.paths import COMPAT
from harness.scenarios import run_scenarios
from harness.suite import Bench, Suite

VERSION = "0.14.0"


def install() -> None:
    pytest.install("aiokafka", [f"aiokafka=={VERSION}", "cramjam==2.11.0"])


def run(bench: Bench) -> dict[str, str]:
    return run_scenarios(bench, [pytest.python("aiokafka"), COMPAT / "python" / "aiokafka_driver.py"])


SUITE = Suite("aiokafka", "aiokafka, scenarios of ours", VERSION, "Python 3.11", install, run, ci="all")
