"""Who owned which partition when, judged from the events of a group's members (StormMembers.java).

A member owns a partition from the call of onPartitionsAssigned to the end of onPartitionsRevoked, or to its death. Both
ends are moments at which it did own it, so two tenures of a partition that overlap are two owners, with one exception:
a member whose session ended on the broker does not know it yet. Of such a member only what the broker accepted from it
counts: a commit that was sent after another member had the partition, and was accepted, is a commit that was not
fenced.
"""

from dataclasses import dataclass, field
from pathlib import Path

NEVER = 1 << 63


@dataclass
class Tenure:
    member: str
    partition: int
    start: int
    end: int = NEVER
    how: str = "open"
    # When commits of this partition that were accepted had been sent.
    commits: list[int] = field(default_factory=list)


@dataclass
class Story:
    """What the members of a group did."""
    tenures: list[Tenure] = field(default_factory=list)
    # Of each partition the commits that were accepted: (sent, answered, offset, member).
    commits: dict[int, list[tuple[int, int, int, str]]] = field(default_factory=dict)
    # Of each partition the records that were processed: (first, last).
    processed: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    # When the broker has shown that it still counts a member.
    alive: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def read(files: list[Path], killed: dict[str, int]) -> Story:
    """`killed` has the members that were killed, and when."""
    lines = [line.split() for file in files for line in file.read_text().splitlines()]
    # The last line of a killed process may be cut off.
    lines = [line for line in lines if len(line) > 2 and line[0] in "AVXRCFLE" and line[1].isdigit()]
    story, held = Story(), {}
    for line in sorted(lines, key=lambda line: int(line[2] if line[0] == "C" else line[1])):
        _take(story, held, line)
    for tenure in held.values():
        if tenure.member in killed:
            tenure.end, tenure.how = killed[tenure.member], "killed"
    return story


def _take(story: Story, held: dict, line: list[str]) -> None:
    kind, time, member = line[0], int(line[1]), line[3] if line[0] == "C" else line[2]
    if kind == "A":
        story.alive.setdefault(member, []).append(time)
        for partition in _numbers(line, 3):
            held[member, partition] = Tenure(member, partition, time)
            story.tenures.append(held[member, partition])
    elif kind in "VX":
        for partition in _numbers(line, 3):
            if (tenure := held.pop((member, partition), None)) is not None:
                tenure.end, tenure.how = time, "revoked" if kind == "V" else "lost"
    elif kind == "R" and len(line) == 6:
        story.processed.setdefault(int(line[3]), []).append((int(line[4]), int(line[5])))
    elif kind == "C" and len(line) == 5:
        answered = int(line[2])
        story.alive.setdefault(member, []).append(time)
        for each in line[4].split(","):
            partition, offset = map(int, each.split(":"))
            story.commits.setdefault(partition, []).append((time, answered, offset, member))
            if (member, partition) in held:
                held[member, partition].commits.append(time)
    elif kind == "F":
        story.refused[line[3]] = story.refused.get(line[3], 0) + 1
    elif kind == "E":
        story.errors.append(" ".join(line[2:]))


def _numbers(line: list[str], at: int) -> list[int]:
    return [int(each) for each in line[at].split(",")] if len(line) > at else []


def owned_twice(story: Story, session_seconds: float) -> list[str]:
    """Every pair of tenures that nothing excuses."""
    found = []
    by_partition: dict[int, list[Tenure]] = {}
    for tenure in story.tenures:
        by_partition.setdefault(tenure.partition, []).append(tenure)
    for tenures in by_partition.values():
        tenures.sort(key=lambda tenure: tenure.start)
        for index, first in enumerate(tenures):
            for second in tenures[index + 1:]:
                if second.member != first.member and second.start < first.end:
                    found += _judge(story, first, second, session_seconds)
    return found


def _judge(story: Story, first: Tenure, second: Tenure, session_seconds: float) -> list[str]:
    pair = f"partition {first.partition}: {first.member} ({first.how}) and {second.member}"
    late = [sent for sent in first.commits if sent > second.start]
    if late:
        return [f"{pair}: a commit {_ms(late[0] - second.start)} after the second had it was accepted"]
    # A member that the broker has not heard of for a session may have been put out without knowing it.
    heard = [time for time in story.alive.get(first.member, []) if time <= second.start]
    silent = (second.start - max(heard, default=first.start)) / 1e9
    if first.how == "lost" or silent >= session_seconds:
        return []
    return [f"{pair}: both had it for {_ms(min(first.end, second.end) - second.start)}"]


def _ms(nanos: int) -> str:
    return f"{nanos / 1e6:.1f} ms"


def went_back(story: Story) -> list[str]:
    """Commits that were sent after one with a higher offset had been answered."""
    found = []
    for partition, commits in story.commits.items():
        answered = sorted(commits, key=lambda commit: commit[1])
        at, highest, who = 0, -1, ""
        for sent, _, offset, member in sorted(commits):
            while at < len(answered) and answered[at][1] < sent:
                if answered[at][2] > highest:
                    highest, who = answered[at][2], answered[at][3]
                at += 1
            if offset < highest:
                found.append(f"partition {partition}: {member} committed {offset} after {who} committed {highest}")
    return found


def missing(story: Story, ends: dict[int, int]) -> list[str]:
    """Records below the end offsets that nobody processed."""
    found = []
    for partition, end in ends.items():
        reached = 0
        for first, last in sorted(story.processed.get(partition, [])):
            if first > reached:
                found.append(f"partition {partition}: {reached} to {first - 1}")
            reached = max(reached, last + 1)
        if reached < end:
            found.append(f"partition {partition}: {reached} to {end - 1}")
    return found
