"""Kafka Connect 4.3 in distributed mode: its state is three compacted topics, its connectors are Kafka's own.

Two workers, a FileStreamSource and a FileStreamSink. The worker that reads is killed, the other goes on where the
source offsets say; after everything was stopped and the topics were cleaned, it all comes back from them.
"""

import json
import os
import time
import urllib.error
import urllib.request

from harness.broker import free_port
from harness.case import case, check, equal
from harness.child import Child
from harness.kcat import kcat

INTERNAL = ("configs", "offsets", "statuses")
CLEANED = {"min.cleanable.dirty.ratio": 0.01, "segment.ms": 1000, "delete.retention.ms": 1000}


class Worker:
    """A Connect worker and its REST interface on loopback."""

    def __init__(self, context, broker, number: int, settings: dict):
        self.port = free_port()
        self.id = f"127.0.0.1:{self.port}"
        properties = context.folder / f"worker{number}.properties"
        merged = {
            "bootstrap.servers": broker.bootstrap, "group.id": "connect", "listeners": f"http://{self.id}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": "configs", "offset.storage.topic": "offsets", "status.storage.topic": "statuses",
            "offset.flush.interval.ms": 200, "scheduled.rebalance.max.delay.ms": 500, "session.timeout.ms": 3000,
            "heartbeat.interval.ms": 500, "plugin.discovery": "service_load", **settings}
        for prefix in ("config", "offset", "status"):
            merged[f"{prefix}.storage.replication.factor"] = 1
            if prefix != "config":
                merged[f"{prefix}.storage.partitions"] = 1
            merged |= {f"{prefix}.storage.{name}": value for name, value in CLEANED.items()}
        properties.write_text("".join(f"{name}={value}\n" for name, value in merged.items()))
        self.child = Child(f"worker {number}", context.java_command(
            "org.apache.kafka.connect.cli.ConnectDistributed", str(properties), heap="256m"),
            context.folder / f"worker{number}.out")

    def rest(self, method: str, path: str, body: dict | None = None):
        """The answer; None where there is none. While the workers rebalance they answer 409, and are asked again."""
        end = time.monotonic() + 60
        while True:
            request = urllib.request.Request(f"http://{self.id}{path}", method=method,
                                             data=None if body is None else json.dumps(body).encode(),
                                             headers={"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as refused:
                said = refused.read().decode(errors="replace")
                if refused.code not in (404, 409, 500, 503) or time.monotonic() > end:
                    raise RuntimeError(f"{method} {path}: {refused.code} {said[:300]}") from None
            except (urllib.error.URLError, ConnectionError, TimeoutError) as problem:
                if not self.child.alive() or time.monotonic() > end:
                    raise RuntimeError(f"{method} {path}: {problem}; {self.child.last_words()}") from None
            time.sleep(0.1)

    def status(self, connector: str) -> dict:
        return self.rest("GET", f"/connectors/{connector}/status")

    def running(self, connector: str, workers: set[str]) -> dict | None:
        """The status, when the connector and its one task run on these workers."""
        status = self.status(connector)
        parts = [status["connector"], *status["tasks"]]
        return status if len(parts) == 2 and all(
            part["state"] == "RUNNING" and part["worker_id"] in workers for part in parts) else None


class Lines:
    """The file that is read, and what was written to it."""

    def __init__(self, path):
        self.path, self.written = path, []
        path.touch()

    def append(self, count: int) -> None:
        begin = len(self.written)
        lines = [f"line {number}" for number in range(begin, begin + count)]
        with open(self.path, "a") as out:
            out.write("".join(line + "\n" for line in lines))
        self.written += lines


def lines_in(path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def once(lines: list[str]) -> list[str]:
    """Without what came again."""
    return list(dict.fromkeys(lines))


def distributed(context, exactly_once: bool) -> None:
    broker = context.start_broker({"group.min.session.timeout.ms": 1000, "log.cleaner.backoff.ms": 100})
    with broker.connect() as connection:
        connection.create_topic("lines")
    settings = {"exactly.once.source.support": "enabled"} if exactly_once else {}
    workers = [Worker(context, broker, number, settings) for number in (1, 2)]
    lines, sunk = Lines(context.folder / "lines.txt"), context.folder / "sunk.txt"
    first = workers[0]
    first.rest("PUT", "/connectors/source/config", {
        "connector.class": "FileStreamSource", "file": str(lines.path), "topic": "lines", "tasks.max": "1",
        **({"exactly.once.support": "required", "transaction.boundary": "poll"} if exactly_once else {})})
    first.rest("PUT", "/connectors/sink/config", {
        "connector.class": "FileStreamSink", "file": str(sunk), "topics": "lines", "tasks.max": "1",
        "consumer.override.isolation.level": "read_committed", "consumer.override.auto.offset.reset": "earliest"})
    lines.append(1000)
    both = {worker.id for worker in workers}
    for name in ("source", "sink"):
        context.wait_until(lambda: first.running(name, both), f"{name} runs", 60, 0.2)

    def all_sunk(what: str, path=sunk) -> None:
        context.wait_until(lambda: set(lines_in(path)) >= set(lines.written), f"the sink has {what}", 60, 0.1)

    all_sunk("the first lines")
    time.sleep(1)

    # The worker that reads is killed in the middle of it.
    victim = next(w for w in workers if w.id == first.status("source")["tasks"][0]["worker_id"])
    left = next(w for w in workers if w is not victim)
    for number in range(50):
        lines.append(100)
        time.sleep(0.02)
        if number == 40:
            victim.child.kill9()
    for name in ("source", "sink"):
        context.wait_until(lambda: left.running(name, {left.id}), f"{name} runs on the worker that is left", 60, 0.2)
    lines.append(1000)
    all_sunk("every line after the kill")
    again = len(check_topic(context, broker, lines, exactly_once)) - len(lines.written)
    time.sleep(1)
    lines.append(10)
    all_sunk("ten lines more")

    # Everything stops; the topics are cleaned; two new workers know what the old ones knew.
    size = os.path.getsize(lines.path)
    context.wait_until(lambda: position(left) == size, "the source offset is that of the end of the file", 30, 0.2)
    left.child.terminate(60)
    for topic in INTERNAL:
        context.wait_cleaned(broker, topic)
    before = check_topic(context, broker, lines, exactly_once)
    workers = [Worker(context, broker, number, settings) for number in (3, 4)]
    new = workers[0]
    both = {worker.id for worker in workers}
    # A worker answers before its first assignment, with no connectors; only then does it take up what it has read.
    context.wait_until(lambda: sorted(new.rest("GET", "/connectors")) == ["sink", "source"],
                       "the new worker knows both connectors", 30, 0.2)
    for name in ("source", "sink"):
        context.wait_until(lambda: new.running(name, both), f"{name} runs again", 60, 0.2)
    equal(position(new), size, "the source offset after a restart")
    lines.append(500)
    all_sunk("the lines after the restart")
    after = check_topic(context, broker, lines, exactly_once)
    equal(after[:len(before)], before, "the topic before the restart")
    equal(after[len(before):], lines.written[-500:], "what was read after the restart")

    # The offsets of a stopped sink are deleted: it starts again from the beginning, into another file.
    new.rest("PUT", "/connectors/sink/stop")
    context.wait_until(lambda: new.status("sink")["connector"]["state"] == "STOPPED", "the sink has stopped", 30, 0.2)
    new.rest("DELETE", "/connectors/sink/offsets")
    equal(new.rest("GET", "/connectors/sink/offsets"), {"offsets": []}, "offsets of the sink after their deletion")
    config = new.rest("GET", "/connectors/sink/config")
    second = context.folder / "sunk2.txt"
    new.rest("PUT", "/connectors/sink/config", {**config, "file": str(second)})
    new.rest("PUT", "/connectors/sink/resume")
    all_sunk("everything again", second)
    # A source that is moved back to the first line reads all of them again.
    new.rest("PUT", "/connectors/source/stop")
    context.wait_until(lambda: new.status("source")["connector"]["state"] == "STOPPED", "the source has stopped",
                       30, 0.2)
    new.rest("DELETE", "/connectors/source/offsets")
    equal(new.rest("GET", "/connectors/source/offsets"), {"offsets": []}, "offsets of the source, deleted")
    new.rest("PUT", "/connectors/source/resume")
    context.wait_until(lambda: len(topic_lines(context, broker)) == len(after) + len(lines.written),
                       "every line is in the topic once more", 60, 0.3)
    new.rest("DELETE", "/connectors/sink")
    context.wait_until(lambda: new.rest("GET", "/connectors") == ["source"], "the sink is gone", 30, 0.2)
    for worker in workers:
        worker.child.terminate(60)
    context.note(f"{len(lines.written)} lines, {again} of them twice after the kill")


def position(worker: Worker) -> int | None:
    found = worker.rest("GET", "/connectors/source/offsets")["offsets"]
    return found[0]["offset"]["position"] if found else None


def topic_lines(context, broker) -> list[str]:
    out = kcat(context, "-C", "-t", "lines", "-e", "-q", "-o", "beginning", "-X", "isolation.level=read_committed",
               on=broker).out
    return out.splitlines()


def check_topic(context, broker, lines: Lines, exactly_once: bool) -> list[str]:
    """What the topic holds: every line, in order; nothing twice where that was promised."""
    found = topic_lines(context, broker)
    equal(once(found), lines.written, "the lines in the topic, each when it came first")
    check(not exactly_once or len(found) == len(lines.written),
          f"{len(found) - len(lines.written)} lines are there twice")
    return found


@case("connect_distributed", seconds=300)
def connect_distributed(context):
    distributed(context, exactly_once=False)


@case("connect_exactly_once", seconds=300)
def connect_exactly_once(context):
    distributed(context, exactly_once=True)
