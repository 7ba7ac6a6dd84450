"""Kafka's own cleaner and Lastword's on copies of the same logs. Lastword only: Kafka is the reference."""

import re

from harness import differential
from harness.broker import Lastword
from harness.case import case, check

SEEDS = 200
TOTALS = re.compile(r"(\d+) logs played, (\d+) comparisons, .* (\d+) failed")


def play(context, lastword, **options):
    folder, is_ours = differential.folder(None)
    try:
        return context.run(differential.command(*differential.words(lastword, folder, **options)),
                           check=False, seconds=context.left())
    finally:
        if is_ours:
            differential.remove(folder)


@case("differential", seconds=240, targets=("lastword",))
def differential_against_kafkas_cleaner(context):
    """The numbered cases and the first random logs, re-batching off and on."""
    result = play(context, Lastword.binary, seeds=SEEDS, cases=True)
    said = [line for line in result.out.splitlines() if not line.startswith("  ")]
    check(result.code == 0, " ".join(line for line in said if line.startswith("DIFFERS"))[:600]
          or result.last_words(600))
    totals = next(line for line in said if TOTALS.match(line))
    covered = next(line for line in said if line.startswith("Kafka left"))
    check(not re.search(r"=0\b", covered), f"the random logs have become dull: {covered}")
    context.note(totals)
    stated = sum(line.startswith("stated") for line in said)
    context.note(f"{stated} kinds of intended differences")


@case("differential_notices", seconds=60, targets=("lastword",))
def the_comparison_notices_a_changed_field(context):
    """Kafka against itself, with one field of one batch changed under a valid checksum: all must be reported."""
    seeds = 12
    result = play(context, "kafka", seeds=seeds, rebatch="off", shrink=False, mutate=True)
    totals = TOTALS.search(result.out)
    check(totals, f"no totals: {result.last_words(400)}")
    check(totals[1] == totals[3] == str(seeds), f"of {seeds} damaged logs only {totals[3]} were noticed")
