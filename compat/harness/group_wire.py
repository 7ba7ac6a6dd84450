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
