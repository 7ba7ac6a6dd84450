"""`lastword verify OLD TOPIC -b`: what a running broker has cleaned is proved against a copy from before.

On Kafka as on Lastword: committed and rolled back transactions, and values replaced by what the copy does not have.
"""

from cases.transactions import PARTITIONS
from harness import install
from harness.broker import copy_directory
from harness.case import case, check
from harness.kcat import produce
from harness.process import run

CONFIGS = {"cleanup.policy": "compact", "internal.segment.bytes": 16 << 10, "min.cleanable.dirty.ratio": 0.01}


@case("verify_running_topic", seconds=120)
def verify_running_topic(context):
    broker = context.start_broker({"log.cleaner.backoff.ms": 50, "log.cleaner.enable": "true"})
    topic = context.create_topic("t", PARTITIONS, on=broker, configs={**CONFIGS, "min.compaction.lag.ms": 3_600_000})
    context.java("transactions", topic, context.topic("id"), on=broker, seconds=60)
    lines = [f"key-{i % 50}:{i} {'x' * 100}" for i in range(1000)]
    produce(context, topic, lines, "-p", "0", "-X", "batch.num.messages=50", on=broker)
    broker.stop()
    old = context.folder / "old"
    copy_directory(broker.data, old)
    broker.start()
    # From here on it is cleaned, and the keys get values that the copy does not have.
    context.set_topic_configs(topic, {**CONFIGS, "min.compaction.lag.ms": 0}, on=broker)
    produce(context, topic, [f"key-{i % 50}:later {i} {'x' * 100}" for i in range(500)], "-p", "0",
            "-X", "batch.num.messages=50", on=broker)
    context.wait_cleaned(broker, topic)
    binary = install.lastword_binary()
    found = run([binary, "verify", old, topic, "-b", broker.bootstrap], 60, check=False)
    check(found.code == 0, f"{found.out} {found.err}")
    check("superseded" in found.out and "rolled back" in found.out, found.out)
    context.note(found.out.splitlines()[0])
    # Who serves a directory keeps it: both kinds of brokers are seen.
    refused = run([binary, "serve", "--data", broker.data, "--listen", "127.0.0.1:0", "--http", "off"], 60, check=False)
    check(refused.code == 2 and "another process serves this directory" in refused.err, f"{refused}")
