"""A small Kafka client of our own: exact bytes where a real client would hide them.

It speaks one old, non-flexible version of each API (all of them still served by Kafka
4.x). Cases use it to prepare topics, to lay out batches exactly, and to send what no
well-behaved client would. It is never what a case calls "a real client".
"""

import socket
import struct
import time
from dataclasses import dataclass

from harness.records import Batch, parse_batches

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 18, 19, 20, 22
INCREMENTAL_ALTER_CONFIGS = 44
TOPIC_RESOURCE = 2


class WireError(Exception):
    """The broker answered with an error code, or not at all."""

    def __init__(self, what: str, code: int | None = None):
        super().__init__(what)
        self.code = code


def string(text: str | None) -> bytes:
    if text is None:
        return struct.pack(">h", -1)
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items) -> bytes:
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


def blob(raw: bytes) -> bytes:
    return struct.pack(">i", len(raw)) + raw


class Reader:
    """Reads primitive types off a response."""

    def __init__(self, raw: bytes):
        self.raw, self.at = raw, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.raw):
            raise WireError(f"response of {len(self.raw)} bytes is too short")
        self.at += size
        return self.raw[self.at - size:self.at]

    def number(self, form: str) -> int:
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def i8(self): return self.number("b")
    def i16(self): return self.number("h")
    def i32(self): return self.number("i")
    def i64(self): return self.number("q")

    def string(self) -> str | None:
        size = self.i16()
        return None if size < 0 else self.take(size).decode()

    def blob(self) -> bytes:
        size = self.i32()
        return b"" if size < 0 else self.take(size)

    def array(self, read) -> list:
        return [read() for _ in range(max(0, self.i32()))]


@dataclass
class Produced:
    error: int
    base_offset: int
    message: str | None


@dataclass
class Fetched:
    error: int
    high_watermark: int
    raw: bytes

    def batches(self) -> list[Batch]:
        return parse_batches(self.raw)


class Connection:
    """One socket. Frames out, frames in, nothing retried."""

    def __init__(self, address: tuple[str, int], seconds: float = 10):
        self.socket = socket.create_connection(address, timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self): return self
    def __exit__(self, *_): self.close()

    def close(self) -> None:
        self.socket.close()

    def send_raw(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def receive_exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            part = self.socket.recv(min(missing, 1 << 20))
            if not part:
                raise WireError(f"connection closed with {missing} of {size} bytes missing")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def receive_frame(self) -> bytes:
        return self.receive_exactly(struct.unpack(">i", self.receive_exactly(4))[0])

    def header(self, key: int, version: int) -> bytes:
        self.correlation += 1
        return struct.pack(">hhi", key, version, self.correlation) + string("compat")

    def send(self, key: int, version: int, body: bytes) -> None:
        self.send_raw(blob(self.header(key, version) + body))

    def receive(self) -> Reader:
        reader = Reader(self.receive_frame())
        answered = reader.i32()
        if answered != self.correlation:
            raise WireError(f"correlation id {answered}, expected {self.correlation}")
        return reader

    def call(self, key: int, version: int, body: bytes) -> Reader:
        self.send(key, version, body)
        return self.receive()

    # The APIs, each in one version.

    def api_versions(self) -> dict[int, tuple[int, int]]:
        reader = self.call(API_VERSIONS, 0, b"")
        error = reader.i16()
        if error:
            raise WireError(f"ApiVersions: error {error}", error)
        return {k: (a, b) for k, a, b in
                reader.array(lambda: (reader.i16(), reader.i16(), reader.i16()))}

    def metadata(self, topics: list[str] | None = None, auto_create: bool = False) -> dict:
        body = struct.pack(">i", -1) if topics is None else array(map(string, topics))
        reader = self.call(METADATA, 4, body + struct.pack(">b", auto_create))
        reader.i32()
        brokers = reader.array(
            lambda: (reader.i32(), reader.string(), reader.i32(), reader.string()))
        reader.string()
        controller = reader.i32()

        def partition():
            error, index, leader = reader.i16(), reader.i32(), reader.i32()
            reader.array(reader.i32)
            reader.array(reader.i32)
            return index, (error, leader)

        def topic():
            error, name, _ = reader.i16(), reader.string(), reader.i8()
            return name, (error, dict(reader.array(partition)))

        return {"brokers": brokers, "controller": controller, "topics": dict(reader.array(topic))}

    def create_topic(self, name: str, partitions: int = 1, configs: dict | None = None) -> None:
        settings = array(string(k) + string(str(v)) for k, v in (configs or {}).items())
        reader = self.call(CREATE_TOPICS, 3, array([
            string(name) + struct.pack(">ih", partitions, 1) + array([]) + settings
        ]) + struct.pack(">ib", 30_000, 0))
        reader.i32()
        for topic, error, message in reader.array(
                lambda: (reader.string(), reader.i16(), reader.string())):
            if error:
                raise WireError(f"CreateTopics {topic}: error {error}: {message}", error)

    def delete_topic(self, name: str) -> int:
        reader = self.call(DELETE_TOPICS, 3, array([string(name)]) + struct.pack(">i", 30_000))
        reader.i32()
        return reader.array(lambda: (reader.string(), reader.i16()))[0][1]

    def set_topic_configs(self, topic: str, configs: dict) -> None:
        settings = array(string(k) + b"\0" + string(str(v)) for k, v in configs.items())
        reader = self.call(INCREMENTAL_ALTER_CONFIGS, 0, array([
            struct.pack(">b", TOPIC_RESOURCE) + string(topic) + settings
        ]) + b"\0")
        reader.i32()
        for error, message, _, name in reader.array(
                lambda: (reader.i16(), reader.string(), reader.i8(), reader.string())):
            if error:
                raise WireError(f"IncrementalAlterConfigs {name}: error {error}: {message}", error)

    def init_producer_id(self) -> tuple[int, int]:
        reader = self.call(INIT_PRODUCER_ID, 1, string(None) + struct.pack(">i", 60_000))
        reader.i32()
        error = reader.i16()
        if error:
            raise WireError(f"InitProducerId: error {error}", error)
        return reader.i64(), reader.i16()

    def produce(self, topic: str, records: bytes, partition: int = 0, acks: int = -1,
                transactional_id: str | None = None) -> Produced | None:
        """None with acks=0, which is not answered."""
        body = string(transactional_id) + struct.pack(">hi", acks, 30_000) + array([
            string(topic) + array([struct.pack(">i", partition) + blob(records)])
        ])
        self.send(PRODUCE, 8, body)
        if acks == 0:
            return None
        reader = self.receive()
        reader.i32()
        reader.string()
        reader.i32()
        _, error, base_offset = reader.i32(), reader.i16(), reader.i64()
        reader.i64()
        reader.i64()
        reader.array(lambda: (reader.i32(), reader.string()))
        return Produced(error, base_offset, reader.string())

    def fetch_body(self, topic: str, offset: int, partition: int, max_bytes: int,
                   max_wait_ms: int, min_bytes: int) -> bytes:
        return struct.pack(">iiiibii", -1, max_wait_ms, min_bytes, max_bytes, 0, 0, -1) + array([
            string(topic) + array([struct.pack(">iiqqi", partition, -1, offset, -1, max_bytes)])
        ]) + array([]) + string("")

    def read_fetch(self, reader: Reader) -> Fetched:
        reader.i32()
        error = reader.i16()
        if error:
            raise WireError(f"Fetch: error {error}", error)
        reader.i32()
        reader.i32()
        reader.string()
        reader.i32()
        _, error, high_watermark = reader.i32(), reader.i16(), reader.i64()
        reader.i64()
        reader.i64()
        reader.array(lambda: (reader.i64(), reader.i64()))
        reader.i32()
        return Fetched(error, high_watermark, reader.blob())

    def fetch(self, topic: str, offset: int, partition: int = 0, max_bytes: int = 1 << 20,
              max_wait_ms: int = 200, min_bytes: int = 1) -> Fetched:
        return self.read_fetch(self.call(FETCH, 11, self.fetch_body(
            topic, offset, partition, max_bytes, max_wait_ms, min_bytes)))

    def list_offset(self, topic: str, timestamp: int, partition: int = 0) -> int:
        reader = self.call(LIST_OFFSETS, 5, struct.pack(">ib", -1, 0) + array([
            string(topic) + array([struct.pack(">iiq", partition, -1, timestamp)])
        ]))
        reader.i32()
        reader.i32()
        reader.string()
        reader.i32()
        _, error, _, offset = reader.i32(), reader.i16(), reader.i64(), reader.i64()
        if error:
            raise WireError(f"ListOffsets {topic}: error {error}", error)
        return offset


def wait_for_leader(address: tuple[str, int], topic: str, partitions: int | None, seconds: float) -> None:
    """Real Kafka answers CreateTopics a moment before it leads the partitions. None for any number of them."""
    end = time.monotonic() + seconds
    while True:
        with Connection(address) as connection:
            error, found = connection.metadata([topic])["topics"].get(topic, (3, {}))
            if not error and len(found) == (partitions or len(found)) and all(
                    code == 0 and leader >= 0 for code, leader in found.values()):
                return
        if time.monotonic() > end:
            raise WireError(f"topic {topic} has no leader after {seconds} s", error)
        time.sleep(0.02)
