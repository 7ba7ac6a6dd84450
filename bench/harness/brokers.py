"""Starting and stopping the two brokers with the same settings.

A broker here is a fresh data directory, a loopback port and a log file under bench/.work; nothing outlives the run.
"""

import functools
import os
import re
import shutil
import socket
import subprocess

from . import process, wire
from .process import Failed

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
WORK = os.path.join(BENCH, ".work")

# Kafka's own default heap and collector flags (bin/kafka-run-class.sh and kafka-server-start.sh).
KAFKA_JVM = (
    "-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
    "-XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"
).split()
TOOL_JVM = ["-Xmx768m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def jars() -> str:
    """The folder with Kafka 4.3.0: the compatibility run's when it is there, else one of our own."""
    for place in (os.path.join(ROOT, "compat", ".work", "libs"), os.path.join(WORK, "libs")):
        if os.path.exists(os.path.join(place, "kafka-clients-4.3.0.jar")):
            return place
    pom = os.path.join(ROOT, "compat", "java", "pom.xml")
    target = os.path.join(WORK, "libs")
    process.call(
        ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={target}"],
        timeout_seconds=600,
    )
    return target


def java(main_class: str, *arguments: str, jvm=None, log4j="log4j2-tools.properties") -> list[str]:
    class_path = f"{os.path.join(WORK, 'classes')}:{os.path.join(jars(), '*')}"
    log4j = os.path.join(BENCH, "kafka", log4j)
    return ["java", *(jvm or TOOL_JVM), f"-Dlog4j2.configurationFile={log4j}", "-cp", class_path, main_class, *arguments]


def compile_drivers() -> None:
    classes = os.path.join(WORK, "classes")
    sources = [os.path.join(BENCH, "java", name) for name in os.listdir(os.path.join(BENCH, "java"))]
    sources = sorted(source for source in sources if source.endswith(".java"))
    os.makedirs(classes, exist_ok=True)
    process.call(["javac", "-d", classes, "-cp", os.path.join(jars(), "*"), *sources], timeout_seconds=180)


@functools.cache
def lastword_binary() -> str:
    """LASTWORD_BIN, or a release build."""
    given = os.environ.get("LASTWORD_BIN")
    if given:
        if not os.access(given, os.X_OK):
            raise Failed(f"LASTWORD_BIN={given} is not a program")
        return given
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "lastword"], cwd=ROOT, check=True, timeout=1800)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "lastword")


class Broker:
    """One running broker. `settings` are server.properties names and apply to both kinds."""

    def __init__(self, kind: str, name: str, settings: dict[str, str], http: bool = False):
        self.kind = kind
        self.home = os.path.join(WORK, f"{kind}-{name}")
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.data = os.path.join(self.home, "data")
        self.log_path = os.path.join(self.home, "broker.log")
        self.settings = settings
        self.port = free_port()
        self.http = f"127.0.0.1:{free_port()}" if http else "off"
        self.child = None
        if kind == "kafka":
            self._format()
        else:
            self.binary = lastword_binary()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, partitions: int = 0) -> float:
        """Starts it; returns the seconds from exec to the first full Metadata answer."""
        self.child = process.spawn(self._command(), self.log_path, {"LASTWORD_LOG": "info"}, cwd=self.home)
        try:
            return wire.wait_for_answer(self.port, self.child, partitions)
        except Failed as error:
            raise Failed(f"{self.kind}: {error}\n{self.log_text()[-3000:]}") from None

    def stop(self) -> float:
        return process.stop(self.child) if self.child else 0.0

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def log_size(self) -> int:
        return os.path.getsize(self.log_path)

    def log_text(self, start: int = 0) -> str:
        """What the broker has said, from a byte of its log on."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            log.seek(start)
            return re.sub(r"\x1b\[[0-9;]*m", "", log.read())

    def _command(self) -> list[str]:
        if self.kind == "kafka":
            properties = os.path.join(self.home, "server.properties")
            return java("kafka.Kafka", properties, jvm=KAFKA_JVM, log4j="log4j2.properties")
        command = [self.binary, "serve", "--data", self.data, "--listen", self.address, "--http", self.http]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    def _format(self) -> None:
        controller = free_port()
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.data,
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self.settings,
        }
        path = os.path.join(self.home, "server.properties")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(f"{name}={value}\n" for name, value in properties.items())
        cluster = process.call(java("kafka.tools.StorageTool", "random-uuid"), 60).strip()
        process.call(java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", path, "--standalone"), 60)
