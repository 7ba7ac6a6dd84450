"""The few bytes of Kafka's protocol that time a start: one Metadata request over a raw socket.

The same code asks both brokers, so that no client's start-up is in the figure.
"""

import socket
import struct
import time

from .process import Failed


def metadata(port: int, timeout_seconds: float) -> tuple[int, int]:
    """Asks Metadata v1 for all topics: returns (brokers, partitions that have a leader)."""
    client = b"bench"
    body = struct.pack(">hhih", 3, 1, 7, len(client)) + client + struct.pack(">i", -1)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as peer:
        peer.settimeout(timeout_seconds)
        peer.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(peer, 4))
        if not 0 < size < 1 << 28:
            raise Failed(f"an answer of {size} bytes")
        return _parse(_exactly(peer, size))


def wait_for_answer(port: int, child, partitions: int, timeout_seconds: float = 120) -> float:
    """Polls until one broker and at least `partitions` led partitions are known. Returns the seconds waited."""
    start = time.monotonic()
    last = "no connection"
    while time.monotonic() - start < timeout_seconds:
        if child.poll() is not None:
            raise Failed(f"the broker left with {child.returncode}")
        try:
            brokers, led = metadata(port, 5)
            if brokers >= 1 and led >= partitions:
                return time.monotonic() - start
            last = f"{brokers} brokers, {led} partitions"
        except OSError as error:
            last = str(error)
        time.sleep(0.002)
    raise Failed(f"no full answer from port {port}: {last}")


def _exactly(peer: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = peer.recv(min(size - len(parts), 1 << 16))
        if not part:
            raise OSError("connection closed in the middle of an answer")
        parts += part
    return bytes(parts)


def _parse(answer: bytes) -> tuple[int, int]:
    at = 4

    def take(form: str) -> int:
        nonlocal at
        (number,) = struct.unpack_from(form, answer, at)
        at += struct.calcsize(form)
        return number

    def skip_string() -> None:
        nonlocal at
        size = take(">h")
        at += max(size, 0)

    brokers = take(">i")
    for _ in range(brokers):
        take(">i")
        skip_string()
        take(">i")
        skip_string()
    take(">i")
    led = 0
    for _ in range(take(">i")):
        take(">h")
        skip_string()
        take(">b")
        for _ in range(take(">i")):
            error, _, leader = take(">h"), take(">i"), take(">i")
            for _ in range(2):
                replicas = take(">i")
                at += 4 * replicas
            led += error == 0 and leader >= 0
    return brokers, led
