"""What the Python drivers share: scenarios by name, one per start: DRIVER --list, or DRIVER NAME BOOTSTRAP.

A scenario that fails prints `FAILED: why` and ends with 1.
"""

import inspect
import asyncio
import sys
import time
import traceback
import uuid


class Failed(Exception):
    """What a scenario found wrong."""


def check(condition, why: str) -> None:
    if not condition:
        raise Failed(why)


def equal(found, wanted, what: str) -> None:
    check(found == wanted, f"{what}: found {str(found)[:300]}, wanted {str(wanted)[:300]}")


def unique(name: str) -> str:
    """A name that no other scenario or run has."""
    return f"{name}-{uuid.uuid4().hex[:10]}"


def until(condition, what: str, seconds: float = 30, pause: float = 0.05):
    """Poll until the condition holds; its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        check(time.monotonic() < end, f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(pause)
    return value


def main(scenarios: list) -> int:
    by_name = {scenario.__name__: scenario for scenario in scenarios}
    if sys.argv[1:] == ["--list"]:
        print("\n".join(by_name))
        return 0
    name, bootstrap = sys.argv[1:3]
    try:
        scenario = by_name[name]
        if inspect.iscoroutinefunction(scenario):
            asyncio.run(asyncio.wait_for(scenario(bootstrap), 90))
        else:
            scenario(bootstrap)
    except Exception as problem:
        traceback.print_exc()
        print(f"FAILED: {type(problem).__name__}: {' '.join(str(problem).split())}")
        return 1
    return 0
