"""One connection that commits and fetches offsets: the few bytes of Kafka's protocol that the works of groups need."""

import itertools
import socket
import struct
from collections.abc import Iterable

from .process import Failed

_OFFSET_COMMIT, _OFFSET_FETCH, _FIND_COORDINATOR = 8, 9, 10


class Peer:
    """Sends a request and waits for its answer."""

    def __init__(self, port: int, timeout_seconds: float = 60):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._numbers = itertools.count()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self._stream.close()
        self._socket.close()

    def find_coordinator(self, group: str) -> int:
        """FindCoordinator v1; returns the error code."""
        answer = self._ask(_FIND_COORDINATOR, 1, _string(group) + b"\0")
        return struct.unpack_from(">h", answer, 4)[0]

    def commit_offsets(self, group: str, topic: str, offsets: dict[int, int]) -> list[int]:
        """OffsetCommit v7 of somebody who is no member; returns the error code of each partition."""
        partitions = b"".join(struct.pack(">iqih", each, offset, -1, -1) for each, offset in offsets.items())
        head = _string(group) + struct.pack(">i", -1) + _string("") + struct.pack(">h", -1)
        body = head + struct.pack(">i", 1) + _string(topic) + struct.pack(">i", len(offsets)) + partitions
        answer = self._ask(_OFFSET_COMMIT, 7, body)
        at = 4 + 4 + 2 + len(topic) + 4
        return [struct.unpack_from(">h", answer, at + 6 * each + 4)[0] for each in range(len(offsets))]

    def fetch_offsets(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """OffsetFetch v5; returns the offsets of the partitions that have no error."""
        wanted = list(partitions)
        body = _string(group) + struct.pack(">i", 1) + _string(topic) + struct.pack(f">i{len(wanted)}i", len(wanted), *wanted)
        answer = self._ask(_OFFSET_FETCH, 5, body)
        at = 4 + 4 + 2 + len(topic)
        (count,) = struct.unpack_from(">i", answer, at)
        at += 4
        found = {}
        for _ in range(count):
            partition, offset, _, length = struct.unpack_from(">iqih", answer, at)
            at += 18 + max(length, 0)
            (error,) = struct.unpack_from(">h", answer, at)
            at += 2
            if error == 0:
                found[partition] = offset
        return found

    def _ask(self, key: int, version: int, body: bytes) -> bytes:
        """The answer behind its correlation id."""
        number = next(self._numbers)
        frame = struct.pack(">hhih", key, version, number, 5) + b"bench" + body
        self._socket.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", self._exactly(4))
        answer = self._exactly(size)
        if struct.unpack_from(">i", answer)[0] != number:
            raise Failed("an answer to another request")
        return answer[4:]

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise Failed("connection closed in the middle of an answer")
        return data


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data
