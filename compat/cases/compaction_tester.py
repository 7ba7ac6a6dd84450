"""Kafka's own LogCompactionTester: random keys, duplicates and deletes, compared by an outside sort."""

import re

from harness.case import case, check

# What Kafka's system test sets, and a cleaner that does not wait.
SETTINGS = {
    "log.segment.bytes": 1_048_576, "log.cleaner.min.cleanable.ratio": 0.01,
    "log.cleaner.backoff.ms": 200, "log.roll.ms": 1000, "log.cleaner.delete.retention.ms": 1000,
    "log.segment.delete.delay.ms": 1000, "log.retention.check.interval.ms": 1000,
    "log.initial.task.delay.ms": 100,
}


@case("log_compaction_tester", seconds=240)
def log_compaction_tester(context):
    broker = context.start_broker(SETTINGS)
    messages = 200_000 if context.fast else 1_000_000
    scratch = context.folder / "scratch"
    scratch.mkdir()
    command = context.java_command(
        "org.apache.kafka.tools.LogCompactionTester", "--bootstrap-server", broker.bootstrap,
        "--messages", str(messages), "--duplicates", "10", "--percent-deletes", "10",
        "--sleep", "20", quick=False)
    result = context.run([command[0], f"-Djava.io.tmpdir={scratch}", *command[1:]],
                         check=False, seconds=220)
    check(result.code == 0 and "Data verification is completed" in result.out,
          f"ended with {result.code}: {result.last_words()}")
    found = re.search(r"([\d,.]+)\s*% reduction|reduced by ([\d,.]+)%", result.out)
    check(found, f"no reduction was printed: {result.last_words()}")
    reduction = float((found.group(1) or found.group(2)).replace(",", ""))
    check(reduction >= 50, f"only {reduction} % of {messages} records were gone when it read")
    context.note(f"{messages} records, {reduction:g} % gone when it read")
