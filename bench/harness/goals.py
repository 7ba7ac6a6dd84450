"""What the cleaner is to reach, beside what was measured: one line a goal, for the works that have been run."""

from .metrics import COLUMNS, figure


def goals(results: dict) -> list[tuple[str, str, str, str]]:
    """Rows of (what, goal, measured, reached)."""
    rows = []

    def add(work: str, what: str, goal: str, value: float | None, is_reached: bool, unit: str = "") -> None:
        if value is not None:
            scale = results[work]["scale"]
            at_scale = "" if scale == 1 else f" (at scale {scale:g})"
            reached = "" if goal == "-" else "yes" if is_reached else "no"
            rows.append((what, goal, f"{figure(value, unit)}{unit}{at_scale}", reached))

    for work in ("A", "C"):
        for column, goal, how in (("lastword", 10, "as a broker runs"), ("nothing", 5, "from nothing")):
            gain = _gain(results, work, column)
            add(work, f"{work}, {how}: times Kafka's speed", f"at least {goal}x", gain, (gain or 0) >= goal, "x")
    survivors = _get(results, "C", "written_per_survivor")
    add("C", "C: bytes written per surviving byte", "at most 1.05", survivors, (survivors or 9) <= 1.05)
    memory = _get(results, "C", "clean_memory_mib")
    add("C", "C: memory of the cleaning", "at most 128 MiB", memory, (memory or 999) <= 128, " MiB")
    for column, whose in (("lastword", "Lastword"), ("kafka", "Kafka")):
        growth = _growth(results, column)
        last = _curve_names(results)[-1:]
        if last:
            goal, reached = ("at most 1.5x", (growth or 9) <= 1.5) if column == "lastword" else ("-", True)
            add(last[0], f"curve: time per record, largest point / smallest, {whose}", goal, growth, reached, "x")
    for work in ("hot", "spread"):
        written = _get(results, work, "written_per_dead_segment")
        what = f"{work}, second round: written per byte of a segment with a dead record"
        add(work, what, "at most 1.1", written, (written or 9) <= 1.1)
    kept, living = _get(results, "hot", "kept_segments"), _get(results, "hot", "live_segments")
    what = f"hot, second round: segments that keep their inode, of {living or 0:.0f} without a dead record"
    add("hot", what, "all", kept, kept == living)
    for column, goal, reached in (("state", "at most 1.1", 1.1), ("lastword", "-", 9), ("kafka", "-", 9)):
        fetched = _get(results, "state", "restore_per_live", column)
        what = f"restore with a head: bytes fetched per live byte, {COLUMNS[column]}"
        add("state", what, goal, fetched, (fetched or 9) <= reached)
    limit = _get(results, "C", "limit_ratio")
    add("C", "C: cleaning / cp and fsync of what survived", "at most 1.5x", limit, (limit or 9) <= 1.5, "x")
    return rows


def _get(results: dict, work: str, name: str, column: str = "lastword") -> float | None:
    return results.get(work, {}).get("columns", {}).get(column, {}).get(name)


def _gain(results: dict, work: str, column: str) -> float | None:
    kafka = _get(results, work, "clean_wall_s", "kafka") or _get(results, work, "clean_over_s", "kafka")
    lastword = _get(results, work, "clean_wall_s", column)
    return kafka / lastword if kafka and lastword else None


def _curve_names(results: dict) -> list[str]:
    return sorted((name for name in results if name.startswith("curve-")), key=lambda name: float(name[6:]))


def _growth(results: dict, column: str) -> float | None:
    times = [_get(results, name, "clean_us_per_record", column) for name in _curve_names(results)]
    times = [time for time in times if time]
    return times[-1] / times[0] if len(times) > 1 else None
