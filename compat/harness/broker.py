"""The broker under test: Lastword, or real Kafka as the reference. One interface for both."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from harness import wire
from harness.paths import LIBS, LOG4J_BROKER
from harness.process import ProcessFailed, forget, kill_group, run, spawn

# What both are told, so that groups form at once and one broker is enough.
COMMON = {"group.initial.rebalance.delay.ms": 0}
KAFKA_ONLY = {
    "process.roles": "broker,controller", "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A broker process with a data directory. It can be stopped, killed and started again."""

    def __init__(self, folder: Path, configs: dict | None, data: Path | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = data or folder / "data"
        self.port = free_port()
        # "{port}" in a value is the port of this broker.
        self.configs = {name: value.replace("{port}", str(self.port)) if isinstance(value, str) else value
                        for name, value in {**COMMON, **(configs or {})}.items()}
        self.child: subprocess.Popen | None = None
        self.output = folder / "broker.out"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, seconds: float = 10) -> wire.Connection:
        return wire.Connection(self.address, seconds)

    def command(self) -> list:
        raise NotImplementedError

    def prepare(self) -> None:
        """What must exist before the first start."""

    start_seconds = 30.0

    def start(self) -> float:
        """Start and wait for the first answer; the seconds that took."""
        self.prepare()
        begin = time.monotonic()
        with open(self.output, "ab") as out:
            self.child = spawn(self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        while not self._answers():
            if self.child.poll() is not None:
                raise ProcessFailed(f"{self.name} ended with {self.child.returncode} at start: "
                                    f"{self.last_words()}")
            if time.monotonic() - begin > self.start_seconds:
                raise ProcessFailed(f"{self.name} did not answer within {self.start_seconds:.0f} s: "
                                    f"{self.last_words()}")
            time.sleep(0.005)
        return time.monotonic() - begin

    def _answers(self) -> bool:
        try:
            with self.connect(2) as connection:
                return len(connection.metadata([])["brokers"]) == 1
        except (OSError, wire.WireError):
            return False

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def stop(self) -> None:
        """A clean stop. Not ending in time, or ending badly, is a failure."""
        if self.child is None:
            return
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            kill_group(self.child)
            self.child = None
            raise ProcessFailed(f"{self.name} did not stop within 30 s of SIGTERM") from None
        forget(self.child)
        self.child = None
        if code not in self.clean_codes:
            raise ProcessFailed(f"{self.name} ended with {code} on SIGTERM: {self.last_words()}")

    def kill9(self) -> None:
        if self.child is not None:
            kill_group(self.child)
            self.child = None

    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def last_words(self) -> str:
        return " | ".join(self.said().splitlines()[-5:])[-500:]

    def partition_dir(self, topic: str, partition: int = 0) -> Path:
        name = f"{topic}-{partition}"
        for found in [self.data / name, *self.data.glob(f"*/{name}")]:
            if found.is_dir():
                return found
        raise FileNotFoundError(f"no directory {name} under the data directory")

    def checkpoint(self, topic: str, partition: int = 0) -> int | None:
        """The first dirty offset as the broker wrote it down, if it did."""
        file = self.partition_dir(topic, partition).parent / "cleaner-offset-checkpoint"
        if file.exists():
            for line in file.read_text().splitlines()[2:]:
                name, index, offset = line.rsplit(" ", 2)
                if name == topic and int(index) == partition:
                    return int(offset)
        return None

    def segment_bases(self, topic: str, partition: int = 0) -> list[int]:
        return sorted(int(f.stem) for f in self.partition_dir(topic, partition).glob("*.log"))


class Lastword(Broker):
    name = "lastword"
    clean_codes = (0,)
    binary = "lastword"

    def command(self) -> list:
        # As Kafka is told below: kafka-python's tests ask where that config came from.
        configs = {"advertised.listeners": f"PLAINTEXT://{self.bootstrap}", **self.configs}
        sets = [part for k, v in configs.items() for part in ("--set", f"{k}={v}")]
        return [self.binary, "serve", "--data", self.data, "--listen", self.bootstrap,
                "--http", "off", *sets]


class Kafka(Broker):
    name = "kafka"
    clean_codes = (0, 143)
    start_seconds = 60.0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.controller_port = free_port()

    def java(self, *arguments) -> list:
        return ["java", "-Xms256m", "-Xmx1g", f"-Dlog4j2.configurationFile={LOG4J_BROKER}",
                "-cp", f"{LIBS}/*", *arguments]

    def prepare(self) -> None:
        properties = self.folder / "server.properties"
        listeners = (f"PLAINTEXT://127.0.0.1:{self.port},"
                     f"CONTROLLER://127.0.0.1:{self.controller_port}")
        settings = {
            **KAFKA_ONLY, "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "log.dirs": self.data, **self.configs,
        }
        properties.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        if not (self.data / "meta.properties").exists():
            run(self.java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw",
                          "-c", properties, "--standalone"), 60)

    def command(self) -> list:
        return self.java("kafka.Kafka", self.folder / "server.properties")


def make(target: str, folder: Path, configs: dict | None = None, data: Path | None = None) -> Broker:
    return (Lastword if target == "lastword" else Kafka)(folder, configs, data)


def copy_directory(source: Path, destination: Path) -> None:
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination)
    os.sync()
