"""confluent-kafka. Its sdist ships no tests, so a program of ours drives it: python/confluent_driver.py."""

from harness.install import PIP_PACKAGES
from harness.paths import COMPAT, VENV_PYTHON
from harness.scenarios import run_scenarios
from harness.suite import Bench, Suite


def run(bench: Bench) -> dict[str, str]:
    return run_scenarios(bench, [VENV_PYTHON, COMPAT / "python" / "confluent_driver.py"])


# The environment is that of compat/run, which is installed before any suite.
SUITE = Suite("confluent", "confluent-kafka, scenarios of ours", PIP_PACKAGES[0].partition("==")[2], "Python 3.11",
              lambda: None, run, ci="all")
