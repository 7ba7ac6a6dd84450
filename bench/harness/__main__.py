"""bench/run: the same works on the real Kafka and on Lastword, one after the other."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys

from . import brokers, report, works
from .process import Failed

RESULTS = os.path.join(brokers.WORK, "results.json")


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(brokers.WORK, exist_ok=True)
    _clear_leftovers()
    brokers.compile_drivers()
    binary = brokers.lastword_binary() if "lastword" in options.target else None
    machine, versions = report.machine(), report.versions(binary)
    print(f"{versions}; {machine}", file=sys.stderr)
    known, fresh = _load(), {}
    for work in options.works:
        entry = {
            "scale": options.scale,
            "repeat": options.repeat,
            "date": report.today(),
            "machine": machine,
            "versions": versions,
            "figures": {},
            "failed": {},
        }
        for kind in options.target:
            print(f"{work} {kind}: {works.describe(work, options.scale)}", file=sys.stderr, flush=True)
            try:
                runs = [works.run(work, kind, options.scale) for _ in range(options.repeat)]
                names = {name for run in runs for name in run}
                entry["figures"][kind] = {n: statistics.median(r[n] for r in runs if n in r) for n in names}
            except Failed as error:
                entry["failed"][kind] = str(error)
                print(f"{work} {kind} FAILED: {error}", file=sys.stderr, flush=True)
        known[work] = fresh[work] = entry
        _save(known)
    print(report.table(fresh))
    if options.write:
        print(f"\nwritten: {os.path.relpath(report.write_page(known))}")
    return 1 if any(entry["failed"] for entry in fresh.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--works", default="A,C,F,G,H,I", help="which works, by letter (default: all)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full input (default 1.0)")
    parser.add_argument("--target", choices=("both", "kafka", "lastword"), default="both")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each work; the median is shown")
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    options = parser.parse_args()
    options.works = [work.strip().upper() for work in options.works.split(",") if work.strip()]
    unknown = sorted(set(options.works) - set("ACFGHI"))
    if unknown:
        parser.error(f"no such work: {', '.join(unknown)} (there are A C F G H I)")
    if not 0 < options.scale <= 4 or options.repeat < 1:
        parser.error("--scale is in (0, 4], --repeat at least 1")
    options.target = ["kafka", "lastword"] if options.target == "both" else [options.target]
    return options


def _clear_leftovers() -> None:
    for name in os.listdir(brokers.WORK):
        if name.startswith(("kafka-", "lastword-")):
            shutil.rmtree(os.path.join(brokers.WORK, name), ignore_errors=True)


def _load() -> dict:
    try:
        with open(RESULTS, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def _save(results: dict) -> None:
    with open(RESULTS + ".tmp", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
    os.replace(RESULTS + ".tmp", RESULTS)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
