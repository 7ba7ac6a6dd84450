"""Random requests of the transaction APIs, in every version, right and wrong: Lastword answers what Kafka answers.

Lastword only, because the case itself runs both.
"""

from harness.case import case, check

STEPS = 150


@case("transaction_walk", seconds=400, targets=("lastword",))
def transaction_walk(context):
    kafka = context.start_broker(target="kafka")
    lastword = context.start_broker()
    seeds = range(1, 2 if context.fast else 5)
    lines = 0
    for seed in seeds:
        said = {}
        for broker in (kafka, lastword):
            topic = context.create_topic(str(seed), partitions=3, on=broker)
            said[broker.name] = context.java("transaction_walk", seed, STEPS, topic, on=broker).splitlines()
        for number, (wanted, found) in enumerate(zip(said["kafka"], said["lastword"])):
            before = "\n".join(said["kafka"][max(0, number - 12):number])
            check(wanted == found, f"seed {seed}, after\n{before}\nKafka    {wanted}\nLastword {found}")
        check(len(said["kafka"]) == len(said["lastword"]), f"seed {seed}: one walk is longer than the other")
        lines += len(said["kafka"])
    check(lines > 2 * STEPS * len(seeds), "Kafka itself said hardly anything")
    context.note(f"{STEPS * len(seeds)} requests, {lines} answers compared")
