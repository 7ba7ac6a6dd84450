"""kcat (librdkafka): produce text, and read a topic as a list of records."""

import json
from dataclasses import dataclass

from harness.process import Result


@dataclass(frozen=True)
class Row:
    partition: int
    offset: int
    timestamp: int
    key: str | None
    value: str | None
    headers: tuple = ()


def kcat(context, *arguments, on=None, stdin=None, check: bool = True, seconds: float = 30) -> Result:
    at = (on or context.broker).bootstrap
    return context.run(["kcat", "-b", at, *arguments], stdin, check, seconds)


def produce(context, topic: str, lines: list[str], *arguments, on=None) -> None:
    """Records as `key:value`; `key:` is a tombstone."""
    kcat(context, "-P", "-t", topic, "-K", ":", "-Z", *arguments, on=on,
         stdin="".join(line + "\n" for line in lines))


def read(context, topic: str, *arguments, on=None, seconds: float = 60) -> list[Row]:
    """Everything from an offset (default the beginning) to the end, with headers."""
    where = () if "-o" in arguments else ("-o", "beginning")
    out = kcat(context, "-C", "-t", topic, "-e", "-q", "-J", *where, *arguments, on=on,
               seconds=seconds).out
    return [row(json.loads(line)) for line in out.splitlines()]


def row(message: dict) -> Row:
    headers = message.get("headers", [])
    return Row(message["partition"], message["offset"], message["ts"], message["key"],
               message["payload"], tuple(zip(headers[::2], headers[1::2])))
