"""Starts the Java half of the differential harness (java/src/lastword/compat/differential)."""

import shutil
import tempfile
from pathlib import Path

from harness.paths import CLASSES, COMPAT, LIBS, LOG4J_TOOLS, WORK

MAIN = "lastword.compat.differential.Differential"
CASES = COMPAT / "differential-cases.txt"
MEMORY = Path("/dev/shm")


def folder(given: Path | None) -> tuple[Path, bool]:
    """Where the logs lie, and whether it is ours to remove. Memory if there is some: Kafka syncs with every roll."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        return given, False
    parent = WORK
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30:
        parent = MEMORY
    return Path(tempfile.mkdtemp(prefix="lastword-differential-", dir=parent)), True


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def words(lastword: str, folder: Path, *, seeds: int = 0, first_seed: int = 1, rebatch: str = "both",
          cases: bool = False, shrink: bool = True, mutate: bool = False) -> list:
    return ["--lastword", lastword, "--work", folder, "--seeds", str(seeds),
            "--first-seed", str(first_seed), "--rebatch", rebatch,
            *(["--cases", CASES] if cases else []), *(["--shrink"] if shrink else []),
            *(["--mutate"] if mutate else [])]


def command(*words) -> list:
    return ["java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={LOG4J_TOOLS}", "-cp", f"{CLASSES}:{LIBS}/*", MAIN, *words]
