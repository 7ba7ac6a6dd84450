"""Bytes that no honest client sends. After each of them the next client is served.

Where Kafka closes the connection a broker may as well answer with an error, so both are
taken; what counts is that nothing is stored, nothing is allocated, and nothing falls over.
"""

import gzip
import random
import struct
import threading
import time

from harness import wire
from harness.case import case, check, equal
from harness.kcat import produce, read
from harness.records import GZIP, ZSTD, Record, batch, record_bytes, seal, varint

UNSUPPORTED_VERSION, CORRUPT, TOO_LARGE, INVALID_TOPIC = 35, 2, 10, 17


def served(context, broker, topic: str, what: str) -> None:
    """A new connection is answered at once."""
    try:
        with broker.connect(5) as connection:
            error, _ = connection.metadata([topic])["topics"][topic]
            equal(error, 0, "metadata")
    except Exception as problem:
        check(False, f"after {what} the next client was not served: {problem}")


def attack(broker, raw: bytes, seconds: float = 3) -> bytes | None:
    """Send bytes as they are. The frame that comes back, or None if the connection was closed."""
    with broker.connect(seconds) as connection:
        try:
            connection.send_raw(raw)
            return connection.receive_frame()
        except (wire.WireError, ConnectionError):
            return None


def closes(broker, raw: bytes, what: str) -> None:
    try:
        answer = attack(broker, raw)
    except TimeoutError:
        check(False, f"{what}: the connection stays open without an answer")
    check(answer is None, f"{what}: answered {answer and answer[:40]!r}")


@case("hostile_frames", seconds=90)
def hostile_frames(context):
    broker, topic = context.broker, context.create_topic()
    whole = struct.pack(">i", 30) + struct.pack(">hhi", wire.METADATA, 4, 1) + bytes(22)
    for size, what in [(-1, "a length of -1"), (0x7FFFFFFF, "a length of 2 GiB"),
                       (0, "an empty frame"), (3, "a frame shorter than a header")]:
        with broker.connect() as connection:
            connection.send_raw(struct.pack(">i", size))
            served(context, broker, topic, what)
        closes(broker, struct.pack(">i", size) + bytes(16), what)
        served(context, broker, topic, what)
    for cut in [1, 3, 4, 7, 12, 20]:
        with broker.connect() as connection:
            connection.send_raw(whole[:cut])
        served(context, broker, topic, f"a frame cut after {cut} bytes")
    closes(broker, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "an HTTP request")
    closes(broker, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), "a TLS hello")
    # Idle and half-open connections do not keep others out.
    idle = [broker.connect() for _ in range(100)]
    for connection in idle[::2]:
        connection.send_raw(whole[:9])
    served(context, broker, topic, "100 idle connections")
    for connection in idle:
        connection.close()


@case("hostile_requests", seconds=90)
def hostile_requests(context):
    broker, topic = context.broker, context.create_topic()

    def refused(key: int, version: int, body: bytes, what: str) -> None:
        with broker.connect(5) as connection:
            try:
                connection.send(key, version, body)
                connection.receive_frame()
            except (wire.WireError, ConnectionError):
                pass
            except TimeoutError:
                check(False, f"{what}: neither an answer nor a closed connection")
        served(context, broker, topic, what)

    refused(9999, 0, b"", "API key 9999")
    refused(-1, 0, b"", "API key -1")
    refused(wire.METADATA, 99, b"", "Metadata v99")
    refused(wire.METADATA, -3, b"", "Metadata v-3")
    refused(wire.METADATA, 4, struct.pack(">i", 0x7FFFFFFF), "an array of 2^31-1 topics")
    refused(wire.METADATA, 4, struct.pack(">ih", 1, 0x7FFF) + b"x", "a string longer than its frame")
    refused(wire.METADATA, 4, b"", "an empty Metadata body")
    refused(wire.PRODUCE, 8, wire.string(None) + struct.pack(">hi", -1, 1000) + wire.array(
        [wire.string(topic) + wire.array([struct.pack(">ii", 0, 0x7FFFFFFF)])]),
        "records of 2^31-1 bytes in a small frame")
    refused(wire.PRODUCE, 8, wire.string(None) + struct.pack(">hi", 7, 1000) + wire.array([]),
            "acks=7")
    with broker.connect() as connection:
        found = connection.fetch(topic, -5)
        check(found.error == 1, f"a fetch at -5: error {found.error}, wanted OFFSET_OUT_OF_RANGE")
        found = connection.fetch(topic, 0, partition=77)
        check(found.error == 3, f"a fetch of partition 77: error {found.error}")
        found = connection.fetch(topic, 0, max_bytes=0x7FFFFFFF, min_bytes=0x7FFFFFFF,
                                 max_wait_ms=100)
        equal(found.error, 0, "a fetch of 2^31-1 bytes")
    with broker.connect() as connection:
        # Flexible header of a version from the future: the answer is a v0 body all the same.
        connection.send(wire.API_VERSIONS, 99, b"\0\0\0\0")
        reader = connection.receive()
        equal(reader.i16(), UNSUPPORTED_VERSION, "error of ApiVersions v99")
        keys = [key for key, _, _ in
                reader.array(lambda: (reader.i16(), reader.i16(), reader.i16()))]
        check(wire.API_VERSIONS in keys, "ApiVersions v99: the answer lacks ApiVersions itself")
        equal(reader.at, len(reader.raw), "bytes of the v0 body")
        check(len(connection.api_versions()) > 20, "the connection is of no use afterwards")


@case("hostile_random", seconds=90)
def hostile_random(context):
    """Random bodies behind honest headers, for every API key."""
    broker, topic = context.broker, context.create_topic()
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    context.note(f"seed {seed}")
    with broker.connect() as connection:
        offered = connection.api_versions()
    for key, (low, high) in sorted(offered.items()):
        for _ in range(4):
            body = draw.randbytes(draw.choice([0, 1, 5, 30, 300]))
            raw = struct.pack(">hhi", key, draw.randint(low, high), 1) + wire.string("x") + body
            with broker.connect(5) as connection:
                try:
                    connection.send_raw(wire.blob(raw))
                    connection.socket.settimeout(0.05)
                    connection.receive_frame()
                except (wire.WireError, OSError):
                    continue
        served(context, broker, topic, f"random bytes for API key {key} (seed {seed})")


@case("hostile_batches", seconds=90)
def hostile_batches(context):
    broker = context.broker
    topic = context.create_topic(configs={"cleanup.policy": "compact"})
    now = int(time.time() * 1000)
    record = Record(b"k", b"v", timestamp=now)
    payload = record_bytes(record, 0, now)
    honest = batch([record], now)
    lies = {
        "a wrong CRC": seal(payload, 1, now, crc=12345),
        "magic 0": seal(payload, 1, now, magic=0),
        "magic 1": seal(payload, 1, now, magic=1),
        "magic 9": seal(payload, 1, now, magic=9),
        "a count of 1000 with one record": seal(payload, 1000, now, last_delta=999),
        "a count of -5": seal(payload, -5, now, last_delta=0),
        "a last offset delta of 2^30": seal(payload, 1, now, last_delta=1 << 30),
        "a negative last offset delta": seal(payload, 1, now, last_delta=-7),
        "unknown codec 7": seal(payload, 1, now, attributes=7),
        "gzip that is none": seal(payload, 1, now, attributes=GZIP),
        "zstd that is none": seal(payload, 1, now, attributes=ZSTD),
        "a record longer than its batch": seal(varint(5000) + payload[1:], 1, now),
        "a record of negative length": seal(varint(-9) + payload[1:], 1, now),
        "a key longer than its record": seal(
            record_bytes(record, 0, now).replace(varint(1) + b"k", varint(900) + b"k"), 1, now),
        "bytes after the last record": seal(payload + b"surplus", 1, now),
        "a control batch": seal(payload, 1, now, attributes=0x20),
        "a cut batch": honest[:-3],
        "a header alone": honest[:40],
        "a length that lies": honest[:8] + struct.pack(">i", 10) + honest[12:],
        "two batches where one is allowed": honest + honest,
        "a transactional batch without a transaction": seal(
            payload, 1, now, attributes=0x10, producer=(4242, 0, 0)),
        "no bytes at all": b"",
    }
    accepted = []
    for what, raw in lies.items():
        with broker.connect(10) as connection:
            try:
                found = connection.produce(topic, raw)
                if what == "a wrong CRC":
                    equal(found.error, CORRUPT, "error for a wrong CRC")
                if found.error == 0:
                    accepted.append(what)
            except (wire.WireError, ConnectionError):
                pass
        served(context, broker, topic, what)
    # An empty set of records may be answered with success: there was nothing to store.
    equal([what for what in accepted if what != "no bytes at all"], [], "lies that were accepted")
    with broker.connect() as connection:
        equal(connection.list_offset(topic, -1), 0, "end of the log after nothing but lies")
        big = batch([Record(b"k", b"x" * 2_000_000)], now)
        equal(connection.produce(topic, big).error, TOO_LARGE, "error for a batch of 2 MB")
        equal(connection.produce(topic, honest).error, 0, "error for an honest batch")
    closes(broker, struct.pack(">i", 500 << 20) + bytes(1 << 16), "a frame of 500 MiB")
    produce(context, topic, ["a:1", "b:2"])
    equal([(r.key, r.value) for r in read(context, topic)], [("k", "v"), ("a", "1"), ("b", "2")],
          "what an honest client then reads")


@case("hostile_names", seconds=60)
def hostile_names(context):
    broker = context.start_broker()
    good = context.create_topic(on=broker)
    outside = sorted(p.name for p in broker.folder.iterdir())
    for name in ["../escape", "..", ".", "a/b", "/etc/x", "a\0b", "a b", "", "x" * 300, "a\nb", "é"]:
        what = f"topic name {name[:20]!r}"
        with broker.connect(5) as connection:
            error, _ = connection.metadata([name], auto_create=True)["topics"].get(name, (-1, {}))
            equal(error, INVALID_TOPIC, f"metadata of {what}")
        with broker.connect(5) as connection:
            try:
                connection.create_topic(name)
                check(False, f"{what} was created")
            except wire.WireError as problem:
                equal(problem.code, INVALID_TOPIC, f"create {what}")
        with broker.connect(5) as connection:
            found = connection.produce(name, batch([Record(b"k", b"v")], 1))
            check(found.error in (3, INVALID_TOPIC), f"produce to {what}: error {found.error}")
        served(context, broker, good, what)
    equal(sorted(p.name for p in broker.folder.iterdir()), outside, "files beside the data directory")
    inside = [p.name for p in broker.data.rglob("*") if "escape" in p.name]
    equal(inside, [], "files of hostile topics")


def zstd_bomb(size: int, begin: bytes) -> bytes:
    """A zstd frame of `begin` and then zeros: run-length blocks, 4 bytes for each 128 KiB."""
    raw = bytes.fromhex("28b52ffd") + b"\x00" + b"\x58"  # no content size, a window of 2 MiB
    raw += struct.pack("<I", len(begin) << 3)[:3] + begin
    block, blocks = 128 << 10, max(1, size // (128 << 10))
    for i in range(blocks):
        last = i == blocks - 1
        raw += struct.pack("<I", block << 3 | 1 << 1 | last)[:3] + b"\0"
    return raw


def bomb(codec: int, size: int, now: int) -> bytes:
    """One record with a value of `size` zeros, as a small batch."""
    body = b"\0" + varint(0) + varint(0) + varint(1) + b"k" + varint(size)
    begin = varint(len(body) + size + 1) + body
    if codec == ZSTD:
        payload = zstd_bomb(size, begin)
    else:
        payload = gzip.compress(begin + bytes(size) + b"\0", 9)
    return seal(payload, 1, now, attributes=codec)


@case("hostile_bombs", seconds=120)
def hostile_bombs(context):
    """Batches that are small on the wire and huge once decompressed."""
    broker = context.start_broker()
    topic = context.create_topic(on=broker, configs={"cleanup.policy": "compact"})
    other = context.create_topic("other", on=broker)
    now = int(time.time() * 1000)
    before = peak_memory(broker)
    sizes = {GZIP: 256 << 20, ZSTD: 2000 << 20}
    for codec, name in [(GZIP, "gzip"), (ZSTD, "zstd")]:
        raw = bomb(codec, sizes[codec], now)
        check(len(raw) < 1_000_000, f"the {name} bomb has {len(raw)} bytes")
        answers = []

        def throw():
            with broker.connect(40) as connection:
                try:
                    answers.append(connection.produce(topic, raw).error)
                except (wire.WireError, ConnectionError):
                    answers.append(None)

        throwers = [threading.Thread(target=throw) for _ in range(8)]
        for thrower in throwers:
            thrower.start()
        served(context, broker, other, f"a {name} bomb on its way")
        for thrower in throwers:
            thrower.join()
        served(context, broker, topic, f"a {name} bomb")
        if context.target == "lastword":
            # Kafka takes them: it checks the key while it streams, and leaves the rest to readers.
            check(all(answer != 0 for answer in answers), f"a {name} bomb was accepted: {answers}")
    produce(context, other, ["a:1"], on=broker)
    equal([r.value for r in read(context, other, on=broker)], ["1"], "what an honest client reads")
    grown = peak_memory(broker) - before
    context.note(f"peak memory grew by {grown >> 20} MiB")
    if context.target == "lastword":
        # Sixteen bombs of 2 GiB or a quarter of it: a few may be under way, all of them may not.
        check(grown < 512 << 20, f"peak memory grew by {grown >> 20} MiB")


def peak_memory(broker) -> int:
    with open(f"/proc/{broker.child.pid}/status") as status:
        line = next(l for l in status if l.startswith("VmHWM"))
    return int(line.split()[1]) << 10
