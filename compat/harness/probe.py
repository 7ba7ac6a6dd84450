"""Asks real Kafka and Lastword the same and compares the whole answers, field by field.

The requests are made and the answers read by Kafka's own generated classes (WireProbe.java), so that what is
compared is what is on the wire. What no two brokers share (addresses, ids, paths, the words of a message) is masked:
only whether it is there is compared. An answer may lag behind a change in Kafka, so `same` asks again until the
answers are equal or the time is over; `once` does not, for what changes something.
"""

import json
import subprocess
import time

from harness.case import Context, Failed
from harness.process import ProcessFailed, kill_group, spawn

ZERO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
# Shown only as "there" or "not there".
MASKED = {"errorMessage", "documentation", "host", "port", "clusterId", "topicId", "logDir", "controllerId",
          "replicaDirectoryId", "message", "lastFetchTimestamp", "lastCaughtUpTimestamp", "totalBytes",
          "usableBytes", "highWatermark", "logEndOffset", "finalizedFeaturesEpoch"}


def masked(answer):
    """The answer with what two brokers cannot share reduced to whether it is there."""
    if isinstance(answer, dict):
        return {key: _presence(value) if key in MASKED else masked(value) for key, value in answer.items()}
    return [masked(item) for item in answer] if isinstance(answer, list) else answer


def _presence(value):
    return "" if value in (None, "", ZERO_ID, -1) else "..."


def without_messages(answer):
    """The same without the messages: Kafka leaves some out, Lastword explains."""
    if isinstance(answer, dict):
        return {k: without_messages(v) for k, v in answer.items() if k != "errorMessage"}
    return [without_messages(item) for item in answer] if isinstance(answer, list) else answer


def codes(answer) -> list[int]:
    """Every error code of an answer, in order."""
    if isinstance(answer, dict):
        return [c for k, v in answer.items() for c in ([v] if k == "errorCode" else codes(v))]
    return [c for item in answer for c in codes(item)] if isinstance(answer, list) else []


class Prober:
    def __init__(self, context: Context, kafka, lastword):
        self.context, self.kafka, self.lastword = context, kafka, lastword
        self.questions = 0
        self.differences: list[str] = []
        argv = context.java_command("lastword.compat.Driver", "wire_probe", kafka.bootstrap)
        self.log = open(context.folder / "probe.err", "wb")
        self.child = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)

    def ask(self, broker, api: str, version: int, request: dict) -> dict:
        """The answer, or {"closed": why}."""
        line = json.dumps({"at": broker.bootstrap, "api": api, "version": version, "request": request})
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        told = self.child.stdout.readline()
        if not told or told.startswith(b"FAILED"):
            raise ProcessFailed(f"the probe ended over {line}: {told.decode(errors='replace')}")
        answer = json.loads(told)
        return answer.get("answer", answer)

    def both(self, api: str, version: int, request: dict) -> tuple[dict, dict]:
        return self.ask(self.kafka, api, version, request), self.ask(self.lastword, api, version, request)

    def once(self, what: str, api: str, version: int, request: dict, shape=lambda answer: answer) -> dict:
        """Both must answer the same at once. Lastword's answer."""
        return self.same(what, api, version, request, shape, seconds=0)

    def same(self, what: str, api: str, version: int, request: dict, shape=lambda answer: answer,
             seconds: float = 5) -> dict:
        """Both must answer the same before long. `shape` reduces an answer to what is compared."""
        self.questions += 1
        end = time.monotonic() + seconds
        while True:
            kafkas, ours = self.both(api, version, request)
            wanted, found = (masked(shape(without_messages(answer))) for answer in (kafkas, ours))
            if wanted == found or time.monotonic() >= end:
                self.compare(f"{what} ({api} v{version})", wanted, found)
                return ours
            time.sleep(0.1)

    def compare(self, what: str, wanted, found) -> None:
        if wanted != found:
            self.differences.append(f"{what}:\n" + "\n".join(difference(wanted, found)))

    def differ(self, what: str, api: str, version: int, request: dict, kafka: list[int],
               lastword: list[int]) -> None:
        """The error codes differ on purpose; docs/differences.md says why."""
        self.questions += 1
        kafkas, ours = self.both(api, version, request)
        if codes(kafkas) != kafka or codes(ours) != lastword:
            self.differences.append(f"{what} ({api} v{version}): Kafka {kafkas}, Lastword {ours}")

    def close(self) -> None:
        kill_group(self.child)
        self.log.close()
        (self.context.folder / "differences.txt").write_text("\n\n".join(self.differences))
        self.context.note(f"{self.questions} questions to both brokers")
        if self.differences:
            raise Failed(f"{len(self.differences)} answers differ: " + " || ".join(self.differences)[:1500])


def difference(wanted, found, at: str = "") -> list[str]:
    """Where two answers differ, one line each."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [line for key in sorted({*wanted, *found})
                for line in difference(wanted.get(key, "(none)"), found.get(key, "(none)"), f"{at}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [line for i, (a, b) in enumerate(zip(wanted, found)) for line in difference(a, b, f"{at}[{i}]")]
    if wanted == found:
        return []
    return [f"  {at}: Kafka {json.dumps(wanted)[:600]}, Lastword {json.dumps(found)[:600]}"]
