"""Record batches (magic 2) as bytes: build them exactly, read them back, check the CRC."""

import gzip
import struct
from dataclasses import dataclass, field

HEADER = struct.Struct(">qiibIhiqqqhii")  # 61 bytes
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
TRANSACTIONAL_BIT, CONTROL_BIT = 0x10, 0x20
_TABLE = []
for _n in range(256):
    _c = _n
    for _ in range(8):
        _c = (_c >> 1) ^ 0x82F63B78 if _c & 1 else _c >> 1
    _TABLE.append(_c)


def crc32c(raw: bytes) -> int:
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in raw:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def sized(raw: bytes | None) -> bytes:
    return varint(-1) if raw is None else varint(len(raw)) + raw


@dataclass
class Record:
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    offset: int = 0
    timestamp: int = 0


@dataclass
class Batch:
    base_offset: int
    last_offset: int
    attributes: int
    crc_valid: bool
    producer_id: int
    base_sequence: int
    count: int
    payload: bytes
    base_timestamp: int
    max_timestamp: int

    @property
    def control(self) -> bool:
        return bool(self.attributes & CONTROL_BIT)

    def records(self) -> list[Record]:
        """The records of an uncompressed or gzip batch."""
        codec = self.attributes & 7
        if codec not in (0, GZIP):
            raise ValueError(f"codec {codec} is not read here")
        raw = gzip.decompress(self.payload) if codec == GZIP else self.payload
        out, at = [], 0
        for _ in range(self.count):
            size, at = read_varint(raw, at)
            out.append(self._record(raw, at))
            at += size
        return out

    def _record(self, raw: bytes, at: int) -> Record:
        time_delta, at = read_varint(raw, at + 1)
        offset_delta, at = read_varint(raw, at)
        parts = []
        for _ in range(2):
            size, at = read_varint(raw, at)
            parts.append(None if size < 0 else raw[at:at + size])
            at += max(0, size)
        return Record(parts[0], parts[1], [], self.base_offset + offset_delta,
                      self.base_timestamp + time_delta)


def record_bytes(record: Record, offset_delta: int, base_timestamp: int) -> bytes:
    body = (
        b"\0" + varint(record.timestamp - base_timestamp) + varint(offset_delta)
        + sized(record.key) + sized(record.value) + varint(len(record.headers))
        + b"".join(sized(name) + sized(value) for name, value in record.headers)
    )
    return varint(len(body)) + body


def seal(payload: bytes, count: int, timestamp: int, attributes: int = 0, magic: int = 2,
         producer: tuple[int, int, int] = (-1, -1, -1), max_timestamp: int | None = None,
         crc: int | None = None, last_delta: int | None = None) -> bytes:
    """A batch around a payload that may be anything; every lie is an argument."""
    producer_id, epoch, sequence = producer
    checked = struct.pack(
        ">hiqqqhii", attributes, count - 1 if last_delta is None else last_delta, timestamp,
        timestamp if max_timestamp is None else max_timestamp, producer_id, epoch, sequence, count,
    ) + payload
    value = crc32c(checked) if crc is None else crc
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, magic, value) + checked


def batch(records: list[Record], timestamp: int, codec: int = 0, **lies) -> bytes:
    """An honest batch of these records, all at their own timestamp or at `timestamp`."""
    for record in records:
        record.timestamp = record.timestamp or timestamp
    payload = b"".join(record_bytes(r, i, timestamp) for i, r in enumerate(records))
    if codec == GZIP:
        payload = gzip.compress(payload)
    elif codec:
        raise ValueError(f"codec {codec} is not written here")
    lies.setdefault("max_timestamp", max(r.timestamp for r in records))
    return seal(payload, len(records), timestamp, attributes=codec | lies.pop("attributes", 0), **lies)


def parse_batches(raw: bytes) -> list[Batch]:
    """Every whole batch in a fetch response or a .log file; a cut one at the end is left out."""
    out, at = [], 0
    while at + HEADER.size <= len(raw):
        (base, size, _, magic, crc, attributes, last_delta, base_timestamp, max_timestamp, producer_id,
         _, sequence, count) = HEADER.unpack_from(raw, at)
        end = at + 12 + size
        if size < HEADER.size - 12 or end > len(raw) or magic != 2:
            break
        out.append(Batch(base, base + last_delta, attributes, crc32c(raw[at + 21:end]) == crc,
                         producer_id, sequence, count, raw[at + HEADER.size:end], base_timestamp,
                         max_timestamp))
        at = end
    return out
