"""Work lookup: the last value of a random key in C's log, from Lastword over HTTP and from NATS JetStream's KV store.

Both hold the same keys with the same last values; NATS keeps one value of each key (history 1), Lastword's log is cleaned.
Everything was written moments before, so it comes from the page cache for both. go/main.go asks, and compares each value.
"""

import json
import os
import shutil

from . import cleaning, process
from .brokers import BENCH, WORK, free_port
from .process import Failed
from .work import Options, Work
from .work_clean import RECIPES, source

LOOKUPS = 50_000
# Before the clock starts; the very first is told apart.
WARM_UP = 5_000
CLIENTS = 8


def works() -> list[Work]:
    return [Work("lookup", _title, {"nats": 420, "lastword": 75}, _run)]


def _title(scale: float) -> str:
    recipe = RECIPES["C"]
    records, keys = cleaning.scaled(recipe.records, scale), cleaning.scaled(recipe.keys, scale)
    return (
        f"lookup of random keys: {records:,} records drawn from {keys:,} keys, {recipe.value_bytes} B values, "
        f"{cleaning.setting(scale)}; {LOOKUPS:,} lookups of each kind"
    )


def _run(column: str, options: Options) -> dict[str, float]:
    program = _program()
    stream = source(RECIPES["C"], options.scale)
    words = (stream.stream, str(stream.value_bytes))
    return _nats(program, words) if column == "nats" else _lastword(program, words, stream, options.scale)


def _lastword(program: str, words: tuple[str, str], stream: cleaning.Input, scale: float) -> dict[str, float]:
    broker = cleaning.start("lastword", "lookup", scale, http=True)
    try:
        cleaning.create(broker, scale, *cleaning.HELD_BACK)
        filled = cleaning.fill(broker, stream)
        cleaning.let_loose(broker, cleaning.LIMIT_SECONDS)
        figures = {"lookup_fill_s": filled["fill_s"], "lookup_disk_mb": _disk_mb(broker.data)}
        pid = broker.child.pid
        return figures | _look(program, "http", broker.http, words, pid) | {"peak_mib": _peak(pid)}
    finally:
        broker.remove()


def _nats(program: str, words: tuple[str, str]) -> dict[str, float]:
    home = os.path.join(WORK, "nats-lookup")
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    port = free_port()
    child = process.spawn([program, "serve", os.path.join(home, "data"), str(port)], os.path.join(home, "nats.log"))
    try:
        address = f"127.0.0.1:{port}"
        filled = json.loads(process.call([program, "load", address, *words], 3600))
        figures = {"lookup_fill_s": filled["seconds"], "lookup_disk_mb": _disk_mb(home)}
        found = _look(program, "nats", address, words, child.pid)
        # Its sockets are read as files are, so its reads cannot be told apart.
        figures |= {name: value for name, value in found.items() if "read" not in name}
        return figures | {"peak_mib": _peak(child.pid)}
    finally:
        process.stop(child)
        shutil.rmtree(home, ignore_errors=True)


def _look(program: str, protocol: str, address: str, words: tuple[str, str], pid: int) -> dict[str, float]:
    def ask(count: int, clients: int, which: str) -> dict[str, float]:
        before = process.io_bytes(pid)
        command = [program, "get", protocol, address, *words, str(count), str(clients), which]
        found = json.loads(process.call(command, 600))
        after = process.io_bytes(pid)
        found["reads"] = (after["reads"] - before["reads"]) / found["lookups"]
        found["read_kib"] = (after["read"] - before["read"]) / found["lookups"] / 1024
        return found

    first = ask(WARM_UP, 1, "present")
    present, absent, many = ask(LOOKUPS, 1, "present"), ask(LOOKUPS, 1, "absent"), ask(LOOKUPS, CLIENTS, "present")
    return {
        "lookup_first_ms": first["first_us"] / 1e3,
        **{f"lookup_{name}": present[name] for name in ("p50_us", "p99_us", "p999_us", "reads", "read_kib")},
        **{f"lookup_absent_{name}": absent[name] for name in ("p50_us", "p99_us", "reads")},
        **{f"lookup_many_{name}": many[name] for name in ("p50_us", "p99_us")},
        "lookup_rss_mib": process.memory_mib(pid)["VmRSS"],
    }


def _program() -> str:
    """The Go program; its modules come from the Go module proxy once."""
    program = os.path.join(WORK, "lookup")
    environment = {
        "GOMODCACHE": os.path.join(WORK, "gomod"),
        "GOCACHE": os.path.join(WORK, "gocache"),
        "GOFLAGS": "-buildvcs=false -modcacherw",
    }
    command = ["go", "build", "-C", os.path.join(BENCH, "go"), "-o", program, "."]
    process.call(command, 900, environment)
    return program


def _peak(pid: int) -> float:
    return process.memory_mib(pid)["VmHWM"]


def _disk_mb(home: str) -> float:
    """What the files take, blocks that were never written left out."""
    total = 0
    for directory, _, names in os.walk(home):
        for name in names:
            try:
                total += os.stat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    if not total:
        raise Failed(f"nothing is in {home}")
    return total / 1e6
