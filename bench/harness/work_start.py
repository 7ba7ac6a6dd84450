"""Work I: start to first answer, stop, and resident memory, empty and with 1,000 partitions."""

import time

from . import process
from .brokers import Broker
from .cleaning import TOPIC, topics
from .work import Options, Work


def works() -> list[Work]:
    title = "start, stop and resident memory (one Metadata request over a raw socket)"
    return [Work("I", lambda _scale: title, {"kafka": 35, "lastword": 20}, _start)]


def _start(kind: str, _options: Options) -> dict[str, float]:
    broker = Broker(kind, "I", {})
    try:
        figures = {"start_empty_s": broker.start(), "rss_empty_mib": _idle(broker)}
        start = time.monotonic()
        created = time.time()
        answered = float(topics(broker, "create", TOPIC, "1000").strip()) / 1000
        figures["create_1000_s"] = max(min(answered - created, time.monotonic() - start), 0)
        _idle(broker)
        figures["stop_1000_s"] = broker.stop()
        figures["start_1000_s"] = broker.start(partitions=1000)
        figures["rss_1000_mib"] = _idle(broker)
        return figures
    finally:
        broker.remove()


def _idle(broker: Broker) -> float:
    """Resident memory once it has rested."""
    time.sleep(5)
    return process.memory_mib(broker.child.pid)["VmRSS"]
