"""Real data: every flight out of New York in 2013, keyed by aircraft, written three times over."""

from harness.case import case, check

PASSES = 3


def numbers(out: str) -> dict[str, int]:
    return {name: int(value) for name, value in
            (line.split() for line in out.splitlines() if len(line.split()) == 2)}


@case("flights", seconds=240)
def flights(context):
    broker = context.start_broker({
        "log.cleaner.backoff.ms": 100, "log.segment.delete.delay.ms": 1000,
        "message.max.bytes": 2_000_000})
    topic = context.create_topic(on=broker, configs={
        "cleanup.policy": "compact", "segment.bytes": 4 << 20, "min.cleanable.dirty.ratio": 0.01})
    sent = numbers(context.confluent("flights_load", topic, PASSES, on=broker, seconds=200))
    check(sent["rows"] == 336_776, f"{sent['rows']} rows in the data set")
    context.wait_cleaned(broker, topic)
    broker.stop()
    broker.start()
    found = numbers(context.confluent("flights_state", topic, PASSES, on=broker, seconds=120))
    gone = 1 - found["read"] / sent["sent"]
    context.note(f"{sent['sent']} records, state of {found['keys']} keys, {100 * gone:.1f} % gone")
    check(gone > 0.9, f"only {100 * gone:.1f} % of the records are gone")
