"""bench/run: the same works on the real Kafka and on Lastword, one after the other."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import time

from . import brokers, report, work, works
from .metrics import COLUMNS
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
    _say_estimate(options)
    known, fresh = _load(), {}
    for one in options.works:
        entry = {
            "title": one.title(options.scale),
            "scale": options.scale,
            "repeat": options.repeat,
            "date": report.today(),
            "machine": machine,
            "versions": versions,
            **_measure(one, options),
        }
        known[one.name] = fresh[one.name] = entry
        _save(known)
    print(report.table(fresh))
    if options.write:
        print(f"\nwritten: {os.path.relpath(report.write_page(known))}")
    return 1 if any(entry["failed"] for entry in fresh.values()) else 0


def _measure(one: work.Work, options: argparse.Namespace) -> dict:
    """Every column as often as asked, in turns, so that a noisy minute does not fall on one of them only."""
    settings = work.Options(options.scale, options.kafka_limit_seconds)
    runs: dict[str, list] = {column: [] for column in one.columns if work.kind(column) in options.target}
    failed = {}
    for turn in range(options.repeat):
        for column in [column for column in runs if column not in failed]:
            begin = time.monotonic()
            try:
                runs[column].append(one.run(column, settings))
            except Failed as error:
                failed[column] = str(error)
                print(f"{one.name} {column} FAILED: {error}", file=sys.stderr, flush=True)
            took = time.monotonic() - begin
            print(f"{one.name} {column} {turn + 1}/{options.repeat}: {took:.0f} s", file=sys.stderr, flush=True)
    done = {column: found for column, found in runs.items() if column not in failed}
    return {
        "columns": {column: _over(statistics.median, found) for column, found in done.items()},
        "spread": {column: _over(lambda of: [min(of), max(of)], found) for column, found in done.items()},
        "failed": failed,
    }


def _over(summary, runs: list[dict]) -> dict:
    """A summary of each figure over the runs; a run that was given up speaks for all."""
    given_up = [run for run in runs if "clean_over_s" in run]
    if given_up:
        runs = given_up
    names = {name for run in runs for name in run}
    return {name: summary([run[name] for run in runs if name in run]) for name in sorted(names)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--works", default="all", help="which works, by name (default: all of them)")
    parser.add_argument("--points", default=works.DEFAULT_POINTS, help="the curve's points in millions of keys")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full input (default 1.0)")
    parser.add_argument("--target", choices=("both", "others", *work.OTHERS, "lastword"), default="both")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each work; the median is shown")
    parser.add_argument(
        "--kafka-limit-seconds", type=float, default=1200, help="give up a cleaning of Kafka's after this and show '> N'"
    )
    parser.add_argument("--estimate", action="store_true", help="say how long it will take, and stop")
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    options = parser.parse_args()
    try:
        points = [float(point) for point in options.points.split(",")]
        options.works = works.select(options.works, points)
    except ValueError as error:
        parser.error(str(error))
    if not 0 < options.scale <= 4 or options.repeat < 1 or options.kafka_limit_seconds <= 0 or min(points) <= 0:
        parser.error("--scale is in (0, 4], --repeat at least 1, the limit and the points more than 0")
    targets = {"both": [*work.OTHERS, "lastword"], "others": [*work.OTHERS]}
    options.target = targets.get(options.target, [options.target])
    if options.estimate:
        _say_estimate(options)
        sys.exit(0)
    return options


def _say_estimate(options: argparse.Namespace) -> None:
    total = 0.0
    for one in options.works:
        for column, seconds in one.columns.items():
            if work.kind(column) in options.target:
                # Starting brokers and clients takes some seconds at any scale.
                total += options.repeat * max(seconds * options.scale, 8 if column == "kafka" else 5)
    names = " ".join(one.name for one in options.works)
    print(f"works: {names}; about {total / 60:.0f} minutes on two quiet cores", file=sys.stderr, flush=True)


def _clear_leftovers() -> None:
    for name in os.listdir(brokers.WORK):
        if name.startswith(("kafka-", "lastword-", "nats-", "limit")):
            shutil.rmtree(os.path.join(brokers.WORK, name), ignore_errors=True)


def _load() -> dict:
    """The results so far; those of an older form of the file are left out."""
    try:
        with open(RESULTS, encoding="utf-8") as file:
            results = {name: entry for name, entry in json.load(file).items() if "columns" in entry}
    except FileNotFoundError:
        return {}
    for entry in results.values():
        entry["columns"] = {column: entry["columns"][column] for column in COLUMNS if column in entry["columns"]}
    return results


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
