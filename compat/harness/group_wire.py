"""The APIs of groups over a raw connection, each in one non-flexible version."""

import struct
from dataclasses import dataclass

from harness.wire import Connection, Reader, array, blob, string

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT = 8, 9, 10, 11, 12
LEAVE_GROUP, SYNC_GROUP, DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE = 13, 14, 15, 16, 42, 47


@dataclass
class Joined:
    error: int
    generation: int
    protocol: str
    leader: str
    member: str
    members: list[tuple[str, str | None, bytes]]


def subscription(*topics: str) -> bytes:
    """What a consumer says in its join: version 1, no user data, no owned partitions."""
    return struct.pack(">h", 1) + array(map(string, topics)) + struct.pack(">i", -1) + array([])


def find_coordinator(peer: Connection, group: str) -> int:
    """FindCoordinator v1."""
    reader = peer.call(FIND_COORDINATOR, 1, string(group) + b"\0")
    reader.i32()
    return reader.i16()


def join(peer: Connection, group: str, member: str = "", instance: str | None = None, session_ms: int = 10_000,
         rebalance_ms: int = 10_000, protocol_type: str = "consumer",
         protocols: list[tuple[str, bytes]] | None = None, version: int = 5) -> Joined:
    """JoinGroup v5; version 3 has no instance and gives out no member id beforehand."""
    body = string(group) + struct.pack(">ii", session_ms, rebalance_ms) + string(member)
    if version >= 5:
        body += string(instance)
    body += string(protocol_type)
    body += array(string(name) + blob(metadata) for name, metadata in protocols or [("range", subscription("t"))])
    reader = peer.call(JOIN_GROUP, version, body)
    reader.i32()
    error, generation = reader.i16(), reader.i32()
    protocol, leader, given = reader.string(), reader.string(), reader.string()

    def member_of():
        name = reader.string()
        return name, reader.string() if version >= 5 else None, reader.blob()

    return Joined(error, generation, protocol, leader, given, reader.array(member_of))


def sync(peer: Connection, group: str, generation: int, member: str, assignments: dict[str, bytes],
         instance: str | None = None) -> tuple[int, bytes]:
    """SyncGroup v3."""
    body = string(group) + struct.pack(">i", generation) + string(member) + string(instance)
    body += array(string(name) + blob(assignment) for name, assignment in assignments.items())
    reader = peer.call(SYNC_GROUP, 3, body)
    reader.i32()
    return reader.i16(), reader.blob()


def heartbeat(peer: Connection, group: str, generation: int, member: str, instance: str | None = None) -> int:
    """Heartbeat v3."""
    body = string(group) + struct.pack(">i", generation) + string(member) + string(instance)
    reader = peer.call(HEARTBEAT, 3, body)
    reader.i32()
    return reader.i16()


def leave(peer: Connection, group: str, members: list[tuple[str, str | None]]) -> tuple[int, list[int]]:
    """LeaveGroup v3: the error of the request and of each member."""
    body = string(group) + array(string(member) + string(instance) for member, instance in members)
    reader = peer.call(LEAVE_GROUP, 3, body)
    reader.i32()
    return reader.i16(), reader.array(lambda: (reader.string(), reader.string(), reader.i16())[2])


def commit(peer: Connection, group: str, offsets: dict[tuple[str, int], int], generation: int = -1, member: str = "",
           instance: str | None = None, metadata: str | None = None) -> dict[tuple[str, int], int]:
    """OffsetCommit v7: the error of each partition."""
    body = string(group) + struct.pack(">i", generation) + string(member) + string(instance)
    topics: dict[str, list[bytes]] = {}
    for (topic, partition), offset in offsets.items():
        one = struct.pack(">iqi", partition, offset, -1) + string(metadata)
        topics.setdefault(topic, []).append(one)
    body += array(string(topic) + array(partitions) for topic, partitions in topics.items())
    reader = peer.call(OFFSET_COMMIT, 7, body)
    reader.i32()
    return _errors(reader)


def _errors(reader: Reader) -> dict[tuple[str, int], int]:
    """Topics with partitions that each have an error."""
    errors = {}
    for topic, partitions in reader.array(
            lambda: (reader.string(), reader.array(lambda: (reader.i32(), reader.i16())))):
        errors |= {(topic, partition): error for partition, error in partitions}
    return errors


def committed(peer: Connection, group: str, partitions: list[tuple[str, int]] | None) -> tuple[int, dict]:
    """OffsetFetch v5: the error of the group, and of each partition its offset, or its error as text."""
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions or []:
        topics.setdefault(topic, []).append(partition)
    if partitions is None:
        body = string(group) + struct.pack(">i", -1)
    else:
        body = string(group) + array(
            string(topic) + array(struct.pack(">i", each) for each in numbers) for topic, numbers in topics.items())
    reader = peer.call(OFFSET_FETCH, 5, body)
    reader.i32()
    found = {}

    def partition():
        number, offset, _ = reader.i32(), reader.i64(), reader.i32()
        reader.string()
        error = reader.i16()
        return number, f"error {error}" if error else offset

    for topic, values in reader.array(lambda: (reader.string(), reader.array(partition))):
        found |= {(topic, number): value for number, value in values}
    return reader.i16(), found


def describe(peer: Connection, group: str) -> tuple[int, str, str, str, int]:
    """DescribeGroups v4: error, state, protocol type, protocol, number of members."""
    reader = peer.call(DESCRIBE_GROUPS, 4, array([string(group)]) + b"\0")
    reader.i32()
    count = reader.i32()
    if count != 1:
        raise ValueError(f"{count} groups where one was asked for")
    error, _, state, kind, protocol = reader.i16(), reader.string(), reader.string(), reader.string(), reader.string()
    return error, state, kind, protocol, reader.i32()


def list_groups(peer: Connection) -> tuple[int, dict[str, str]]:
    """ListGroups v2: group to protocol type."""
    reader = peer.call(LIST_GROUPS, 2, b"")
    reader.i32()
    return reader.i16(), dict(reader.array(lambda: (reader.string(), reader.string())))


def delete_groups(peer: Connection, groups: list[str]) -> dict[str, int]:
    """DeleteGroups v1."""
    reader = peer.call(DELETE_GROUPS, 1, array(map(string, groups)))
    reader.i32()
    return dict(reader.array(lambda: (reader.string(), reader.i16())))


def delete_offsets(peer: Connection, group: str, partitions: list[tuple[str, int]]) -> tuple[int, dict]:
    """OffsetDelete v0: the error of the request and of each partition."""
    topics: dict[str, list[bytes]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(struct.pack(">i", partition))
    reader = peer.call(OFFSET_DELETE, 0, string(group) + array(
        string(topic) + array(numbers) for topic, numbers in topics.items()))
    error = reader.i16()
    reader.i32()
    return error, _errors(reader)


# Flexible versions: compact lengths, and tagged fields behind each structure and header.

NO_TAGS = b"\0"


def compact(text: str | None) -> bytes:
    raw = (text or "").encode()
    return b"\0" if text is None else _varint(len(raw) + 1) + raw


def compact_array(items) -> bytes:
    items = list(items)
    return _varint(len(items) + 1) + b"".join(items)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


class Flexible:
    """Reads a response of a flexible version."""

    def __init__(self, reader: Reader):
        self.plain = reader
        self.tags()

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.plain.i8() & 0xFF
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self.plain.take(self.varint())

    def string(self) -> str | None:
        size = self.varint()
        return None if size == 0 else self.plain.take(size - 1).decode()

    def array(self, read) -> list:
        """Structures, each with its tagged fields."""
        def one():
            value = read()
            self.tags()
            return value
        return [one() for _ in range(max(self.varint() - 1, 0))]


def call_flexible(peer: Connection, key: int, version: int, body: bytes) -> Flexible:
    return Flexible(peer.call(key, version, NO_TAGS + body + NO_TAGS))


def find_coordinators(peer: Connection, kind: int, keys: list[str]) -> list[int]:
    """FindCoordinator v4: the error of each key."""
    reader = call_flexible(peer, FIND_COORDINATOR, 4, struct.pack(">b", kind) + compact_array(map(compact, keys)))
    reader.plain.i32()
    return reader.array(lambda: (reader.string(), reader.plain.i32(), reader.string(), reader.plain.i32(),
                                 reader.plain.i16(), reader.string())[4])


def list_groups_filtered(peer: Connection, states: list[str], types: list[str]) -> tuple[int, dict]:
    """ListGroups v5: group to its protocol type, state and type."""
    body = compact_array(map(compact, states)) + compact_array(map(compact, types))
    reader = call_flexible(peer, LIST_GROUPS, 5, body)
    reader.plain.i32()
    error = reader.plain.i16()
    found = reader.array(lambda: [reader.string() for _ in range(4)])
    return error, {group: tuple(rest) for group, *rest in found}


def describe_error(peer: Connection, group: str) -> tuple[int, str]:
    """DescribeGroups v6: the error and the state."""
    reader = call_flexible(peer, DESCRIBE_GROUPS, 6, compact_array([compact(group)]) + b"\0")
    reader.plain.i32()
    reader.varint()
    error = reader.plain.i16()
    reader.string()
    reader.string()
    return error, reader.string()


def commit_v9(peer: Connection, group: str, where: tuple[str, int], generation: int = -1, member: str = "") -> int:
    """OffsetCommit v9 for one partition."""
    partition = struct.pack(">iqi", where[1], 7, -1) + compact(None) + NO_TAGS
    topic = compact(where[0]) + compact_array([partition]) + NO_TAGS
    body = compact(group) + struct.pack(">i", generation) + compact(member) + compact(None) + compact_array([topic])
    return _only_error(call_flexible(peer, OFFSET_COMMIT, 9, body), lambda reader: reader.string())


def commit_v10(peer: Connection, group: str, topic_id: bytes) -> int:
    """OffsetCommit v10 for partition 0 of a topic id."""
    partition = struct.pack(">iqi", 0, 7, -1) + compact(None) + NO_TAGS
    topic = topic_id + compact_array([partition]) + NO_TAGS
    body = compact(group) + struct.pack(">i", -1) + compact("") + compact(None) + compact_array([topic])
    return _only_error(call_flexible(peer, OFFSET_COMMIT, 10, body), lambda reader: reader.plain.take(16))


def _only_error(reader: Flexible, read_topic) -> int:
    reader.plain.i32()
    found = reader.array(lambda: (
        read_topic(reader), reader.array(lambda: (reader.plain.i32(), reader.plain.i16())))[1])
    return found[0][0][1]


def fetch_stable(peer: Connection, group: str, where: tuple[str, int]) -> tuple[int, int]:
    """OffsetFetch v7 with require_stable: offset and error of one partition."""
    topic = compact(where[0]) + compact_array([struct.pack(">i", where[1])]) + NO_TAGS
    reader = call_flexible(peer, OFFSET_FETCH, 7, compact(group) + compact_array([topic]) + b"\1")
    reader.plain.i32()
    found = reader.array(lambda: (reader.string(), reader.array(lambda: (
        reader.plain.i32(), reader.plain.i64(), reader.plain.i32(), reader.string(), reader.plain.i16())))[1])
    return found[0][0][1], found[0][0][4]


def fetch_v10(peer: Connection, group: str, topic_id: bytes) -> tuple[int, int]:
    """OffsetFetch v10 for partition 0 of a topic id: the error of the group and of the partition."""
    topic = topic_id + compact_array([bytes(4)]) + NO_TAGS
    wanted = compact(group) + compact(None) + struct.pack(">i", -1) + compact_array([topic]) + NO_TAGS
    reader = call_flexible(peer, OFFSET_FETCH, 10, compact_array([wanted]) + b"\0")
    reader.plain.i32()

    def partition():
        reader.plain.take(16)
        reader.string()
        return reader.plain.i16()

    found = reader.array(lambda: (
        reader.string(), reader.array(lambda: (reader.plain.take(16), reader.array(partition))[1]),
        reader.plain.i16()))
    _, topics, error = found[0]
    return error, topics[0][0]


# Offsets in transactions.

INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28


@dataclass
class Producer:
    transactional_id: str
    id: int
    epoch: int


def init_producer(peer: Connection, transactional_id: str) -> tuple[int, Producer]:
    """InitProducerId v1."""
    reader = peer.call(INIT_PRODUCER_ID, 1, string(transactional_id) + struct.pack(">i", 60_000))
    reader.i32()
    error = reader.i16()
    return error, Producer(transactional_id, reader.i64(), reader.i16())


def add_partition(peer: Connection, producer: Producer, where: tuple[str, int]) -> int:
    """AddPartitionsToTxn v1 for one partition."""
    reader = peer.call(ADD_PARTITIONS_TO_TXN, 1, string(producer.transactional_id)
                       + struct.pack(">qh", producer.id, producer.epoch)
                       + array([string(where[0]) + array([struct.pack(">i", where[1])])]))
    reader.i32()
    return next(iter(_errors(reader).values()))


def add_offsets(peer: Connection, producer: Producer, group: str) -> int:
    """AddOffsetsToTxn v1."""
    reader = peer.call(ADD_OFFSETS_TO_TXN, 1, string(producer.transactional_id)
                       + struct.pack(">qh", producer.id, producer.epoch) + string(group))
    reader.i32()
    return reader.i16()


def end_transaction(peer: Connection, producer: Producer, commit: bool) -> int:
    """EndTxn v1."""
    reader = peer.call(END_TXN, 1, string(producer.transactional_id)
                       + struct.pack(">qhb", producer.id, producer.epoch, commit))
    reader.i32()
    return reader.i16()


def commit_in_transaction(peer: Connection, producer: Producer, group: str, where: tuple[str, int], offset: int = 7,
                          generation: int = -1, member: str = "", instance: str | None = None,
                          metadata: str | None = None) -> int:
    """TxnOffsetCommit v3 for one partition."""
    partition = struct.pack(">iqi", where[1], offset, -1) + compact(metadata) + NO_TAGS
    topic = compact(where[0]) + compact_array([partition]) + NO_TAGS
    body = compact(producer.transactional_id) + compact(group) + struct.pack(">qh", producer.id, producer.epoch)
    body += struct.pack(">i", generation) + compact(member) + compact(instance) + compact_array([topic])
    return _only_error(call_flexible(peer, TXN_OFFSET_COMMIT, 3, body), lambda reader: reader.string())
