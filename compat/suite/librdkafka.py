"""librdkafka's own test suite, from Debian's source package, built here. Each test is run alone, by its number.

Tests that need no broker (`-L`) are left out: they are about the library or its mock cluster. Tests of the scenario
`noautocreate` get a broker that is told so. One word of the suite is changed: topics are created with one replica and not
three, because a single node is what is tested.
"""

import json
import re
import stat
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.install import once
from harness.paths import COMPAT
from harness.process import ProcessFailed, run as run_process
from harness.suite import FAILED, PASSED, SKIPPED, Bench, Suite, work

VERSION = "2.0.2"
NAME = "librdkafka"
TESTS = work(NAME) / f"librdkafka-{VERSION}" / "tests"
BUILD_PACKAGES = ["gcc", "g++", "make", "pkg-config", "dpkg-dev", "libssl-dev", "zlib1g-dev", "liblz4-dev", "libzstd-dev"]
ONE_REPLICA = ("rd_kafka_NewTopic_new(topicname, partition_cnt, replication_factor,",
               "rd_kafka_NewTopic_new(topicname, partition_cnt, 1,")
# How many tests run at once. They wait more than they work.
AT_ONCE = 4
TEST_SECONDS = 240
# Of every area that matters here the tests that are over soon.
CI = ["0012_produce_consume", "0017_compression", "0018_cgrp_term", "0030_offset_commit", "0061_consumer_lag",
      "0090_idempotence", "0102_static_group_rebalance", "0103_transactions",
      "0118_commit_rebalance", "0130_store_offsets", "0132_strategy_ordering"]


def install() -> None:
    once("suites/librdkafka/build", [], " ".join([VERSION, *BUILD_PACKAGES, *ONE_REPLICA]), TESTS / "test-runner", build)
    tool = work(NAME) / "kafka" / "bin" / "kafka-topics.sh"
    tool.parent.mkdir(parents=True, exist_ok=True)
    tool.write_text(f'#!/bin/sh\nexec {COMPAT / "kafka"} topics "$@"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def build() -> None:
    folder, quiet = work(NAME), {"DEBIAN_FRONTEND": "noninteractive"}
    run_process(["apt-get", "update", "-qq"], 300, env=quiet)
    run_process(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *BUILD_PACKAGES], 600, env=quiet)
    private = {**quiet, "APT_CONFIG": str(source_lists(folder))}
    run_process(["apt-get", "update", "-qq"], 300, env=private)
    run_process(["apt-get", "source", "-qq", "librdkafka"], 300, env=private, cwd=folder)
    framework = TESTS / "test.c"
    text = framework.read_text()
    changed = text.replace(*ONE_REPLICA)
    if changed == text:
        raise ProcessFailed("librdkafka's test.c is not the one that is known")
    framework.write_text(changed)
    top = TESTS.parent
    run_process(["./configure"], 300, cwd=top)
    run_process(["make", "-j2", "libs"], 1200, cwd=top)
    run_process(["make", "-j2", "test-runner"], 1200, cwd=TESTS)


def source_lists(folder):
    """apt's configuration with the machine's own Debian mirror as a place for sources. The machine's stays as it is."""
    codename = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[1]
    private = folder / "apt"
    (private / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (private / "parts").mkdir(exist_ok=True)
    for file in Path("/etc/apt").rglob("*.sources"):
        stanzas = [stanza for stanza in file.read_text().split("\n\n")
                   if re.search(rf"^Suites:.*\b{codename}\b", stanza, re.M)]
        text = "\n\n".join(re.sub(r"^Types: .*", "Types: deb-src", stanza, flags=re.M) for stanza in stanzas)
        (private / "parts" / file.name).write_text(text)
    lines = [line for file in [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt").rglob("*.list")]
             for line in file.read_text().splitlines() if re.match(rf"deb .*\b{codename}\b.*\bmain\b", line)]
    (private / "sources.list").write_text("".join(line.replace("deb ", "deb-src ", 1) + "\n" for line in lines))
    (private / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{private}/sources.list";\nDir::Etc::sourceparts "{private}/parts";\n'
        f'Dir::State::lists "{private}/lists";\nAPT::Sandbox::User "root";\n')
    return private / "apt.conf"


def tests_by_number() -> dict[tuple[str, str], list[str]]:
    """The tests that need a broker, by their number and scenario, from the table in test.c."""
    table = re.findall(r"_TEST\(((\d{4})_\w+),\s*(.*?)\),\n(?=\s*(?:_TEST|#|/\*|\n|\{))",
                       (TESTS / "test.c").read_text(), re.DOTALL)
    found = defaultdict(list)
    for name, number, rest in table:
        if "TEST_F_LOCAL" not in rest and "TEST_F_MANUAL" not in rest:
            found[number, "noautocreate" if '"noautocreate"' in rest else "default"].append(name)
    return found


def run(bench: Bench) -> dict[str, str]:
    wanted = tests_by_number()
    if bench.selected is not None:
        numbers = {test[:4] for test in bench.selected}
        wanted = {key: names for key, names in wanted.items() if key[0] in numbers}
    brokers = {"default": bench.broker}
    if any(scenario == "noautocreate" for _, scenario in wanted):
        brokers["noautocreate"] = bench.start_broker({"auto.create.topics.enable": "false"})
    for scenario, broker in brokers.items():
        (bench.folder / f"{scenario}.conf").write_text(
            f"bootstrap.servers={broker.bootstrap}\nbroker.address.family=v4\ntest.topic.random=true\n"
            "test.timeout.multiplier=2\n")

    def one(test) -> dict[str, str]:
        (number, scenario), names = test
        report, output = bench.folder / f"{number}.{scenario}.json", bench.folder / f"{number}.{scenario}.txt"
        env = {
            "TESTS": number, "TEST_REPORT": str(report), "TEST_KAFKA_VERSION": "4.3.0",
            "RDKAFKA_TEST_CONF": str(bench.folder / f"{scenario}.conf"), "BROKERS": brokers[scenario].bootstrap,
            "KAFKA_PATH": str(work(NAME) / "kafka"), "LD_LIBRARY_PATH": f"{TESTS.parent}/src:{TESTS.parent}/src-cpp",
        }
        argv = [TESTS / "test-runner", "-L", "-p1", "-s", scenario]
        try:
            result = run_process(argv, TEST_SECONDS, check=False, env=env, cwd=TESTS)
            output.write_text(result.out + result.err)
        except ProcessFailed as problem:
            output.write_text(str(problem))
        return outcomes(report, names)

    found: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for each in pool.map(one, wanted.items()):
            found.update(each)
    return found


def outcomes(report, names: list[str]) -> dict[str, str]:
    """A runner that crashed or hung has left no report: all its tests have failed."""
    try:
        tests = json.loads(report.read_text())["tests"]
    except (OSError, ValueError):
        return dict.fromkeys(names, FAILED)
    states = {"PASSED": PASSED, "SKIPPED": SKIPPED}
    return {name: states.get(tests[name]["state"], FAILED) for name in names if name in tests}


SUITE = Suite(NAME, "librdkafka, its tests that need a broker; topics with one replica", VERSION + " of Debian 12",
              "Debian's source package, a C compiler", install, run, seconds=2400, ci=CI,
              # 0102 wants two members that subscribe one after the other in the same first generation.
              configs={"num.partitions": 4, "group.initial.rebalance.delay.ms": 200})
