"""The table, and the results section of docs/benchmarks.md."""

import os
import platform
import re
import subprocess
import time

from .brokers import ROOT, WORK
from .works import METRICS, describe

BEGIN = "<!-- results: written by bench/run --write -->"
END = "<!-- end of results -->"


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if value >= 1000 or (unit == "" and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def verdict(kafka: float | None, lastword: float | None, better: str) -> str:
    """How many times better Lastword is, in words that cannot be misread."""
    if not better or not kafka or not lastword:
        return ""
    gain = kafka / lastword if better == "lower" else lastword / kafka
    if 0.95 <= gain <= 1.05:
        return "even"
    return f"{gain:.1f}x better" if gain > 1 else f"{1 / gain:.1f}x worse"


def rows(figures: dict[str, dict[str, float]]):
    kafka, lastword = figures.get("kafka", {}), figures.get("lastword", {})
    for name, (what, unit, better) in METRICS.items():
        if name in kafka or name in lastword:
            k, l = kafka.get(name), lastword.get(name)
            label = f"{what} ({unit})" if unit else what
            yield label, figure(k, unit), figure(l, unit), verdict(k, l, better)


def table(results: dict) -> str:
    lines = []
    for work, entry in sorted(results.items()):
        lines.append(f"\n{work}. {describe(work, entry['scale'])}")
        lines.append(f"  {'':52} {'Kafka':>12} {'Lastword':>12}  Lastword is")
        lines += [f"  {label:52} {k:>12} {l:>12}  {v}" for label, k, l, v in rows(entry["figures"])]
        lines += [f"  {kind} FAILED: {why.splitlines()[0]}" for kind, why in entry.get("failed", {}).items()]
    return "\n".join(lines)


def markdown(results: dict) -> str:
    lines = [BEGIN, ""]
    for work, entry in sorted(results.items()):
        lines += [f"### {work}. {describe(work, entry['scale'])}", ""]
        runs = "one run" if entry["repeat"] == 1 else f"median of {entry['repeat']} runs"
        lines.append(f"{entry['date']}; scale {entry['scale']:g}; {runs}; {entry['versions']}; {entry['machine']}.")
        lines += ["", "| | Kafka 4.3.0 | Lastword | Lastword is |", "| --- | ---: | ---: | --- |"]
        lines += [f"| {label} | {k} | {l} | {v} |" for label, k, l, v in rows(entry["figures"])]
        for kind, why in entry.get("failed", {}).items():
            lines += ["", f"**{kind} failed:** {why.splitlines()[0]}"]
        lines.append("")
    lines.append(END)
    return "\n".join(lines)


def write_page(results: dict) -> str:
    """Puts the results between the two marks of docs/benchmarks.md; the prose around them stays."""
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    try:
        with open(path, encoding="utf-8") as page:
            text = page.read()
    except FileNotFoundError:
        text = "# Benchmarks\n\nHow to run them and what is held equal: [bench/README.md](../bench/README.md).\n\n## Results\n"
    section = markdown(results)
    if BEGIN in text and END in text:
        text = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: section, text, flags=re.DOTALL)
    else:
        text = text.rstrip("\n") + "\n\n" + section + "\n"
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
        f"{os.cpu_count()} x {model}, {gib:.0f} GiB, Linux {platform.release()}, {_file_system(WORK)}, "
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
