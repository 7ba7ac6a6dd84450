"""sarama, driven by a program of ours (go/sarama): its own functional tests want five brokers and a proxy."""

from harness.install import GO_ENV, once
from harness.paths import COMPAT
from harness.process import ProcessFailed, run as run_child
from harness.suite import FAILED, PASSED, Bench, Suite, work

VERSION = "v1.61.1"
SOURCE = COMPAT / "go" / "sarama"
PROGRAM = work("sarama") / "sarama"


def install() -> None:
    once("sarama", [*SOURCE.glob("*.go"), *SOURCE.glob("go.*")], "", PROGRAM,
         lambda: run_child(["go", "build", "-o", PROGRAM, "."], 600, env=GO_ENV, cwd=SOURCE))


def run(bench: Bench) -> dict[str, str]:
    said = bench.run([PROGRAM, bench.bootstrap, *(bench.selected or [])])
    found = {}
    for line in said.out.splitlines():
        word, _, name = line.partition(" ")
        if word == "ok":
            found[name] = PASSED
        elif word == "FAILED":
            found[name.partition(":")[0]] = FAILED
    if said.code not in (0, 1):
        raise ProcessFailed(f"the program ended with {said.code}: {said.last_words()}")
    return found


SUITE = Suite("sarama", "sarama, a program of ours", VERSION.removeprefix("v"), "Go", install, run,
              ci="all", seconds=600)
