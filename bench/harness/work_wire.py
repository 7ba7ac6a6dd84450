"""Works F, G and H: produce and consume with Kafka's own performance tools."""

import os
import re

from . import process
from .brokers import Broker, java
from .cleaning import GB, TOPIC, scaled, topics
from .process import Failed
from .work import Options, Work


def works() -> list[Work]:
    return [
        Work("F", _title_f, {"kafka": 25, "lastword": 20}, lambda column, it: _produce(column, "F", *_f(it.scale))),
        Work("G", _title_g, {"kafka": 25, "lastword": 15}, lambda column, it: _produce(column, "G", *_g(it.scale))),
        Work("H", _title_h, {"kafka": 25, "lastword": 15}, _consume),
    ]


def _f(scale: float) -> tuple[int, int]:
    return scaled(5_000_000, scale), 200


def _g(scale: float) -> tuple[int, int]:
    return scaled(1_500_000, scale), 1024


def _h(scale: float) -> tuple[int, int]:
    return scaled(1_465_000, scale), 1024


def _title_f(scale: float) -> str:
    return f"produce {_f(scale)[0]:,} records of 200 B (ProducerPerformance, acks=all, linger 5, 128 KiB)"


def _title_g(scale: float) -> str:
    return f"produce {_g(scale)[0]:,} records of 1 KiB (ProducerPerformance, acks=all, linger 5, 128 KiB)"


def _title_h(scale: float) -> str:
    records, size = _h(scale)
    return f"consume {records * size / GB:.2f} GB of 1 KiB records (ConsumerPerformance)"


def _produce(kind: str, work: str, records: int, size: int) -> dict[str, float]:
    broker = Broker(kind, work, {})
    try:
        broker.start()
        topics(broker, "create", TOPIC, "1")
        # A tenth of the work first, so that Kafka's compiler has seen the path before the clock runs.
        _perf_produce(broker, max(records // 10, 1_000), size)
        pid = broker.child.pid
        cpu = process.cpu_seconds(pid)
        figures = _perf_produce(broker, records, size)
        figures["cpu_s_per_gb"] = (process.cpu_seconds(pid) - cpu) / (records * size / GB)
        figures["peak_mib"] = process.memory_mib(pid)["VmHWM"]
        return figures
    finally:
        broker.remove()


def _perf_produce(broker: Broker, records: int, size: int) -> dict[str, float]:
    out = process.call(
        java(
            "org.apache.kafka.tools.ProducerPerformance",
            *("--bootstrap-server", broker.address, "--topic", TOPIC),
            *("--num-records", str(records), "--record-size", str(size), "--throughput", "-1"),
            *("--command-property", "acks=all", "linger.ms=5", "batch.size=131072"),
        ),
        900,
    )
    last = out.strip().splitlines()[-1]
    found = re.search(
        r"([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency.* ([\d.]+) ms 99th", last
    )
    if not found:
        raise Failed(f"ProducerPerformance said: {last}")
    names = ("produce_records_s", "produce_mib_s", "latency_avg_ms", "latency_p99_ms")
    return dict(zip(names, map(float, found.groups())))


def _consume(kind: str, options: Options) -> dict[str, float]:
    records, size = _h(options.scale)
    broker = Broker(kind, "H", {})
    try:
        broker.start()
        topics(broker, "create", TOPIC, "1")
        _perf_produce(broker, records, size)
        os.sync()
        _perf_consume(broker, max(records // 10, 1_000))
        pid = broker.child.pid
        cpu = process.cpu_seconds(pid)
        fields = _perf_consume(broker, records)
        cpu = process.cpu_seconds(pid) - cpu
        if float(fields["data.consumed.in.nMsg"]) < records:
            raise Failed(f"{kind}: consumed {fields['data.consumed.in.nMsg']} of {records} records")
        return {
            "consume_mib_s": float(fields["fetch.MB.sec"]),
            "cpu_s_per_gb": cpu / (records * size / GB),
            "peak_mib": process.memory_mib(pid)["VmHWM"],
        }
    finally:
        broker.remove()


def _perf_consume(broker: Broker, records: int) -> dict[str, str]:
    out = process.call(
        java(
            "org.apache.kafka.tools.ConsumerPerformance",
            *("--bootstrap-server", broker.address, "--topic", TOPIC),
            *("--num-records", str(records), "--timeout", "60000"),
        ),
        600,
    )
    lines = [line for line in out.splitlines() if line.count(",") >= 9]
    if len(lines) < 2:
        raise Failed(f"ConsumerPerformance said: {out[-1000:]}")
    split = [[part.strip() for part in line.split(",")] for line in lines]
    return dict(zip(split[0], split[-1]))
