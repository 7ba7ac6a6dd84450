"""Kafka's DumpLogSegments over every file that the run has left behind.

It reads the directories of all cases before it, and one of its own with every codec, several
idempotent producers and tombstones, cleaned and stopped.
"""

import re
from pathlib import Path

from harness.case import case, check
from harness.kcat import kcat, produce
from harness.records import parse_batches

MAIN = "org.apache.kafka.tools.DumpLogSegments"
SUFFIXES = (".log", ".index", ".timeindex", ".snapshot", ".txnindex")
# What the tool says about a file that is not as it should be.
TROUBLE = re.compile(
    r"isvalid: false|[Mm]ismatch|Exception|corrupt|[Ii]nvalid|out of order|Found \d+ invalid bytes|"
    r"Could not|not found|failed", re.IGNORECASE)
# Cleaned logs have gaps; the tool mentions them, and that is as it should be.
EXPECTED = re.compile(r"^Non-consecutive offsets|isvalid: true")
MISMATCH = re.compile(r"  Index timestamp: (-?\d+), log timestamp: (-?\d+)$")
FILES_PER_RUN = 400


@case("dump_log_segments", seconds=300)
def dump_log_segments(context):
    own = context.start_broker({"log.cleaner.backoff.ms": 50, "log.segment.delete.delay.ms": 0})
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = context.create_topic(codec, on=own, configs={
            "cleanup.policy": "compact", "internal.segment.bytes": 32 << 10,
            "min.cleanable.dirty.ratio": 0.01, "delete.retention.ms": 100})
        for producer in range(3):
            lines = [f"key-{i % 40}:" + ("" if i % 9 == 0 else f"{producer} {i} {'x' * (i % 120)}")
                     for i in range(3000)]
            produce(context, topic, lines, "-z", codec, "-X", "enable.idempotence=true",
                    "-X", "batch.num.messages=100", on=own)
        context.wait_cleaned(own, topic)
    # Large enough for indexes with many entries: one for every 4 KiB.
    large = context.create_topic("large", on=own, configs={"segment.bytes": 1 << 20})
    produce(context, large, [f"key-{i}:{'y' * 400}" for i in range(10_000)],
            "-X", "batch.num.messages=50", on=own)
    kcat(context, "-G", context.topic("group"), "-e", "-q", "-X", "auto.offset.reset=earliest",
         context.topic("none"), on=own)
    own.stop()
    context.stop_shared()

    files = sorted(file for folder in {*context.shared_dirs(), own.data}
                   for file in folder.rglob("*") if file.suffix in SUFFIXES
                   and "__cluster_metadata-0" not in file.parts)
    # Empty files say nothing; those of active segments are.
    counts = {suffix: sum(f.suffix == suffix and f.stat().st_size > 0 for f in files)
              for suffix in SUFFIXES}
    for suffix in (".log", ".index", ".timeindex", ".snapshot"):
        check(counts[suffix] > 3, f"only {counts[suffix]} {suffix} files have something in them")
    trouble, batches = [], 0
    for flags, suffixes in [(["--deep-iteration"], SUFFIXES),
                            (["--index-sanity-check"], (".index", ".timeindex"))]:
        mine = [f for f in files if f.suffix in suffixes]
        for at in range(0, len(mine), FILES_PER_RUN):
            out = dump(context, mine[at:at + FILES_PER_RUN], flags)
            trouble += complaints(out)
            batches += out.count("isvalid: true")
    check(not trouble, f"{len(trouble)} complaints, the first: {' / '.join(trouble[:3])}")
    check(batches > 30, f"only {batches} valid batches were seen")
    context.note(f"{batches} batches in " + ", ".join(f"{n} {s}" for s, n in counts.items() if n))


def dump(context, files: list[Path], flags: list[str]) -> str:
    result = context.tool(MAIN, *flags, "--files", ",".join(map(str, files)), check=False,
                          seconds=200, quick=False)
    check(result.code == 0, f"DumpLogSegments ended with {result.code}: {result.last_words(600)}")
    return result.out + "\n" + result.err


def complaints(out: str) -> list[str]:
    """Lines of trouble, each with the file it is about."""
    found, file, lines = [], "", out.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("Dumping "):
            file = "/".join(Path(line[len("Dumping "):]).parts[-3:])
        elif line.startswith("Found timestamp mismatch in :"):
            found += timestamp_mismatches(Path(line.split(":", 1)[1]), lines[at + 1:])
        elif TROUBLE.search(line) and not EXPECTED.search(line):
            found.append(f"{file}: {line[:200]}")
    return found


def timestamp_mismatches(index: Path, lines: list[str]) -> list[str]:
    """The tool finds no record in an emptied batch and calls its time index entry wrong, in
    Kafka's own files too. Such an entry must then be the largest timestamp of that batch."""
    found = []
    for line in lines:
        match = MISMATCH.match(line)
        if not match:
            break
        timestamp, in_log = int(match[1]), int(match[2])
        batches = parse_batches(index.with_suffix(".log").read_bytes())
        if in_log != -1 or timestamp not in {b.max_timestamp for b in batches if b.count == 0}:
            found.append("/".join(index.parts[-3:]) + ":" + line)
    return found
