"""The tables on the terminal, and the results section of docs/benchmarks.md with the curve as SVG."""

import os
import platform
import re
import subprocess
import time

from . import svg
from .brokers import ROOT, WORK
from .goals import goals
from .metrics import COLUMNS, METRICS, figure, other, verdict

BEGIN = "<!-- results: written by bench/run --write -->"
END = "<!-- end of results -->"
CURVE = "benchmark-curve.svg"
ORDER = ("A", "A2", "B", "C", "C2", "D", "hot", "spread", "curve", "restore", "state", "lookup", "latency", "F", "G", "H", "I", "offsets", "offsets_once")


def _rank(work: str) -> tuple:
    name, _, point = work.partition("-")
    return (ORDER.index(name) if name in ORDER else len(ORDER), float(point or 0))


def _cell(entry: dict, column: str, name: str, unit: str) -> str:
    """The figure, with its spread when there was more than one run."""
    figures = entry["columns"][column]
    if name == "clean_wall_s" and "clean_over_s" in figures:
        return f"> {figures['clean_over_s']:,.0f}"
    text = figure(figures.get(name), unit)
    spread = entry.get("spread", {}).get(column, {}).get(name)
    if spread and unit in ("s", "ms") and spread[0] != spread[1]:
        text += f" ({figure(spread[0], unit)}-{figure(spread[1], unit)})"
    return text


def header(entry: dict) -> list[str]:
    """The columns, each of Lastword's followed by how it compares."""
    found = []
    for column in entry["columns"]:
        found.append(COLUMNS[column])
        if other(entry["columns"]) not in (column, None):
            found.append("is")
    return found


def rows(entry: dict):
    """One row a figure: what it is, then the cells of `header`."""
    columns = entry["columns"]
    beside = other(columns)
    for name, (what, unit, better) in METRICS.items():
        if not any(name in figures or (name == "clean_wall_s" and "clean_over_s" in figures) for figures in columns.values()):
            continue
        cells = [f"{what} ({unit})" if unit else what]
        for column, figures in columns.items():
            cells.append(_cell(entry, column, name, unit))
            if beside not in (column, None):
                theirs = columns[beside].get(name)
                is_floor = name == "clean_wall_s" and "clean_over_s" in columns[beside]
                if is_floor:
                    theirs = columns[beside]["clean_over_s"]
                better_by = verdict(theirs, figures.get(name), better)
                cells.append(f"over {better_by}" if is_floor and better_by.endswith("better") else better_by)
        yield cells


def _plain(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths)))
        for line in lines
    ]


def table(results: dict) -> str:
    lines = []
    for work, entry in sorted(results.items(), key=lambda it: _rank(it[0])):
        lines.append(f"\n{work}. {entry['title']}")
        if entry["columns"]:
            lines += _plain([["", *header(entry)], *rows(entry)])
        lines += [f"  {COLUMNS[column]} FAILED: {why.splitlines()[0]}" for column, why in entry["failed"].items()]
    reached = goals(results)
    if reached:
        lines += ["\nGoals", *_plain([["", "goal", "measured", "reached"], *map(list, reached)])]
    return "\n".join(lines)


def _about(entry: dict) -> str:
    runs = "one run" if entry["repeat"] == 1 else f"median of {entry['repeat']} runs, in brackets the lowest and highest"
    return f"{entry['date']}; scale {entry['scale']:g}; {runs}; {entry['versions']}; {entry['machine']}."


def markdown(results: dict, before: str = "") -> str:
    """The section of results. Works that `before` shows and that were not measured here stay as they are."""
    sections = {found[1]: found[0] for found in re.finditer(r"^### (\w+)\. .*?(?=^### |\Z)", before, flags=re.DOTALL | re.MULTILINE)}
    curve = {work: entry for work, entry in results.items() if work.startswith("curve-")}
    rest = {work: entry for work, entry in results.items() if work not in curve}
    sections |= {work: "\n".join(_section(work, entry)) + "\n" for work, entry in rest.items()}
    if curve:
        sections["curve"] = "\n".join(_curve_section(curve)) + "\n"
    text = f"{BEGIN}\n\n"
    reached = goals(results)
    if reached:
        lines = ["### Goals", "", "| | goal | measured | reached |", "| --- | --- | ---: | --- |"]
        text += "\n".join(lines + [f"| {' | '.join(row)} |" for row in reached] + ["", ""])
    return text + "".join(sections[work] for work in sorted(sections, key=_rank)) + END


def _section(work: str, entry: dict) -> list[str]:
    lines = [f"### {work}. {entry['title']}", "", _about(entry)]
    if entry["columns"]:
        cells = header(entry)
        marks = " | ".join("---" if cell == "is" else "---:" for cell in cells)
        lines += ["", f"| | {' | '.join(cells)} |", f"| --- | {marks} |"]
        lines += [f"| {' | '.join(row)} |" for row in rows(entry)]
    for column, why in entry["failed"].items():
        lines += ["", f"**{COLUMNS[column]} failed:** {why.splitlines()[0]}"]
    return [*lines, ""]


CURVE_METRICS = (
    "clean_wall_s",
    "clean_us_per_record",
    "clean_rounds",
    "clean_memory_mib",
    "clean_written_mb",
    "tail_after_mb",
    "index_cpu_s",
    "index_wait_s",
    "index_mb",
)


def _curve_section(curve: dict) -> list[str]:
    points = sorted(curve.items(), key=lambda it: _rank(it[0]))
    lines = ["### curve. time per record from few keys to many", "", f"![time per record]({CURVE})", "", _about(points[0][1])]
    names = [(column, name) for name in CURVE_METRICS for column in ("kafka", "lastword")]
    lines += ["", "| | " + " | ".join(entry["title"].split(",")[0] for _, entry in points) + " |"]
    lines.append("| --- |" + " ---: |" * len(points))
    for column, name in names:
        what, unit, _ = METRICS[name]
        if not any(name in entry["columns"].get(column, {}) for _, entry in points):
            continue
        cells = [_cell(entry, column, name, unit) if column in entry["columns"] else "-" for _, entry in points]
        lines.append(f"| {COLUMNS[column]}: {what}{f' ({unit})' if unit else ''} | {' | '.join(cells)} |")
    lines += ["", f"The largest point: {points[-1][1]['title']}."]
    for work, entry in points:
        lines += [f"\n**{work}, {COLUMNS[column]} failed:** {why.splitlines()[0]}" for column, why in entry["failed"].items()]
    return [*lines, ""]


def curve_svg(results: dict) -> str | None:
    """Time per record against millions of keys, for both brokers; none when there are no points."""
    series: dict[str, list[svg.Point]] = {}
    for work, entry in sorted(results.items(), key=lambda it: _rank(it[0])):
        if not work.startswith("curve-"):
            continue
        millions = float(work.removeprefix("curve-")) * entry["scale"]
        for column in ("kafka", "lastword"):
            figures = entry["columns"].get(column, {})
            if "clean_us_per_record" in figures:
                per_record = figures["clean_us_per_record"]
                point = svg.Point(millions, per_record, figure(per_record, "us"))
            elif "clean_over_s" in figures:
                per_record = figures["clean_over_s"] * 1e6 / figures["records"]
                point = svg.Point(millions, per_record, f"> {figure(per_record, 'us')}", is_floor=True)
            else:
                continue
            series.setdefault(COLUMNS[column], []).append(point)
    if not series:
        return None
    return svg.chart("Cleaning: time per record", "distinct keys, millions", "microseconds per record", series)


def write_page(results: dict) -> str:
    """Puts the results between the two marks of docs/benchmarks.md; the prose around them stays.

    The curve is drawn beside it."""
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    curve = curve_svg(results)
    if curve:
        with open(os.path.join(ROOT, "docs", CURVE), "w", encoding="utf-8") as out:
            out.write(curve)
    try:
        with open(path, encoding="utf-8") as page:
            text = page.read()
    except FileNotFoundError:
        text = "# Benchmarks\n\nHow to run them and what is held equal: [bench/README.md](../bench/README.md).\n\n## Results\n"
    if BEGIN in text and END in text:
        head, rest = text.split(BEGIN, 1)
        before, tail = rest.split(END, 1)
        text = head + markdown(results, before) + tail
    else:
        text = text.rstrip("\n") + "\n\n" + markdown(results) + "\n"
    with open(path, "w", encoding="utf-8") as page:
        page.write(text)
    return path


def machine() -> str:
    """The machine in one line: enough to judge the figures, nothing that names it."""
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as cpus:
        for line in cpus:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as memory:
        gib = int(memory.readline().split()[1]) / (1 << 20)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30).stderr.splitlines()
    return (
        f"{os.cpu_count()} x {model}, {gib:.0f} GiB, Linux {platform.release().split('-')[0]}, {_file_system(WORK)}, "
        f"{java[0] if java else 'no java'}"
    )


def versions(binary: str | None) -> str:
    """What was compared, and the settings that all works share; those of one work are in its title."""
    kafka = "Kafka 4.3.0, one KRaft node with its default 1 GiB heap and G1"
    if binary is None:
        return kafka
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    return f"{kafka}; {said}"


def _file_system(path: str) -> str:
    """The type of the mount that holds a path."""
    best = ("", "unknown file system")
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, kind = line.split()[:3]
            inside = os.path.commonpath([os.path.realpath(path), where]) == where
            if inside and len(where) >= len(best[0]):
                best = (where, kind)
    return best[1]


def today() -> str:
    return time.strftime("%Y-%m-%d")
