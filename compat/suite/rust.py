"""The Rust clients' own tests, which their crates ship: rdkafka (over librdkafka) and rskafka (pure Rust).

A crate is fetched by name, copied out of cargo's cache, and tested as its authors do, with its own lock file.
"""

import json
import re
import shutil
from pathlib import Path

from harness.install import once
from harness.process import ProcessFailed, run as run_process
from harness.suite import FAILED, PASSED, SKIPPED, Bench, Suite, work

FOLDER = work("rust")
TARGET = {"CARGO_TARGET_DIR": str(FOLDER / "target"), "CARGO_PROFILE_DEV_DEBUG": "0"}
CRATES = {"rdkafka": "0.39.0", "rskafka": "0.6.0"}


def source(crate: str) -> Path:
    return FOLDER / f"{crate}-{CRATES[crate]}"


def fetch() -> None:
    project = FOLDER / "fetch"
    (project / "src").mkdir(parents=True, exist_ok=True)
    (project / "src" / "lib.rs").touch()
    wanted = "".join(f'{crate} = "={version}"\n' for crate, version in CRATES.items())
    (project / "Cargo.toml").write_text(
        f'[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n{wanted}\n[workspace]\n')
    run_process(["cargo", "fetch", "-q"], 600, cwd=project)
    packages = json.loads(run_process(["cargo", "metadata", "--format-version", "1"], 120, cwd=project).out)["packages"]
    for package in packages:
        if package["name"] in CRATES:
            shutil.rmtree(source(package["name"]), ignore_errors=True)
            shutil.copytree(Path(package["manifest_path"]).parent, source(package["name"]))
            # A workspace of its own, because it lies below this project's.
            with open(source(package["name"]) / "Cargo.toml", "a") as manifest:
                manifest.write("\n[workspace]\n")
            # The toolchain is the machine's, not one that would have to be fetched.
            (source(package["name"]) / "rust-toolchain.toml").unlink(missing_ok=True)
    # The version of it that the lock file names is refused by current compilers.
    run_process(["cargo", "update", "-q", "-p", "rsasl"], 300, cwd=source("rskafka"))


def install(crate: str) -> None:
    once("suites/rust/sources", [], str(CRATES), FOLDER / "fetch", fetch)
    # Compiles nothing when nothing has changed.
    run_process(["cargo", "test", "-q", "--locked", "--tests", "--no-run"], 1800, env=TARGET, cwd=source(crate))


def run_crate(bench: Bench, crate: str, binaries: list[str], env: dict, leave_out) -> dict[str, str]:
    """`binary::test` of each test of the crate's `tests/`; those that `leave_out` names count as skipped."""
    found: dict[str, str] = {}
    for binary in binaries:
        argv = ["cargo", "test", "-q", "--locked", "--test", binary, "--"]
        names = re.findall(r"^(\S+): test$", run_process([*argv, "--list"], 900, env=TARGET, cwd=source(crate)).out, re.M)
        wanted = [name for name in names if not leave_out(name)
                  and (bench.selected is None or f"{binary}::{name}" in bench.selected)]
        found.update({f"{binary}::{name}": SKIPPED for name in names if leave_out(name)})
        if wanted:
            found.update({f"{binary}::{name}": result for name, result in one_by_one(
                bench, [*argv, "--exact"], wanted, {**TARGET, **env}, source(crate)).items()})
    return found


def one_by_one(bench: Bench, argv: list, names: list[str], env: dict, folder: Path) -> dict[str, str]:
    """Each test in a process of its own: one that hangs or prints a lot takes no other with it."""
    found = {}
    for name in names:
        try:
            result = bench.run([*argv, name], 180, env=env, cwd=folder)
            ran = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", result.out)
            found[name] = PASSED if result.code == 0 and ran and ran[1] == "1" else FAILED
            if result.code == 0 and ran and ran[1] == ran[2] == "0":
                found[name] = SKIPPED
        except ProcessFailed:
            found[name] = FAILED
    return found


def run_rdkafka(bench: Bench) -> dict[str, str]:
    binaries = sorted(file.stem for file in (source("rdkafka") / "tests").glob("test_*.rs"))
    return run_crate(bench, "rdkafka", binaries, {"KAFKA_HOST": bench.bootstrap, "KAFKA_VERSION": "4.3.0"},
                     lambda name: False)


def run_rskafka(bench: Bench) -> dict[str, str]:
    env = {"TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": bench.bootstrap}
    # Without a proxy, a broker with SASL, and jars that they would fetch, those return at once and would count as passed.
    return run_crate(bench, "rskafka", ["client", "consumer", "produce_consume", "producer"], env,
                     lambda name: any(what in name for what in ("socks5", "sasl", "java")))


SUITES = [
    # The configs of the brokers are those with which their authors test; so is the port, which some tests have inside.
    Suite("rdkafka", "rdkafka for Rust, its tests", CRATES["rdkafka"], "Rust, a C compiler", lambda: install("rdkafka"),
          run_rdkafka, configs={"num.partitions": 3, "node.id": 0}, seconds=1800, port=9092),
    Suite("rskafka", "rskafka, its tests", CRATES["rskafka"], "Rust, a C compiler", lambda: install("rskafka"),
          run_rskafka, configs={"auto.create.topics.enable": "false"}, seconds=1800),
]
