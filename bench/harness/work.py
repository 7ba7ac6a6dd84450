"""What a work is: a title, the columns of its table, a function that measures one column, and how long that takes."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Options:
    scale: float
    # After so many seconds Kafka's cleaning of a point of the curve is given up and shown as "> N".
    kafka_limit_seconds: float = 1200


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    title: Callable[[float], str]
    # Column -> seconds it takes at scale 1 on two cores, filling and checking included; a rough guide.
    columns: dict[str, float]
    run: Callable[[str, Options], dict[str, float]]


# What Lastword is measured beside.
OTHERS = ("kafka", "nats")


def kind(column: str) -> str:
    """The broker that a column is measured on."""
    return column if column in OTHERS else "lastword"
