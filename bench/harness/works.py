"""All works, in the order in which they run and are shown."""

from . import work_clean, work_curve, work_latency, work_lookup, work_offsets, work_restore, work_rounds, work_start, work_state, work_wire
from .work import Work

DEFAULT_POINTS = "1,5,20,50"


def all_works(points: list[float]) -> dict[str, Work]:
    found = [
        *work_clean.works(),
        *work_rounds.works(),
        *work_curve.works(points),
        *work_restore.works(),
        *work_state.works(),
        *work_lookup.works(),
        *work_latency.works(),
        *work_wire.works(),
        *work_start.works(),
        *work_offsets.works(),
    ]
    return {work.name: work for work in found}


def select(names: str, points: list[float]) -> list[Work]:
    """Works by name, upper or lower case; `curve` stands for all its points, `all` for everything."""
    known = all_works(points)
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]

    def is_wanted(name: str) -> bool:
        return "all" in wanted or name.lower() in wanted or (name.startswith("curve-") and "curve" in wanted)

    shown = {"all", "curve", *(name.lower() for name in known)}
    unknown = [name for name in wanted if name not in shown]
    if unknown:
        plain = [name for name in known if not name.startswith("curve-")]
        raise ValueError(f"no such work: {', '.join(unknown)} (there are {' '.join(plain)} curve all)")
    return [work for name, work in known.items() if is_wanted(name)]
