"""Work curve: C's recipe at several sizes, so that time per record can be seen to grow or not.

Of K draws from K keys 63 % are hit; a point of N million keys is therefore N / 0.632 million records.
"""

from . import cleaning
from .work import Options, Work
from .work_clean import Recipe, clean

SHARE_HIT = 0.632


def works(points: list[float]) -> list[Work]:
    return [_point(millions) for millions in points]


def millions_of(name: str) -> float:
    return float(name.removeprefix("curve-"))


def _point(millions: float) -> Work:
    draws = round(millions * 1e6 / SHARE_HIT)
    recipe = Recipe(draws, draws, 60)
    name = f"curve-{millions:g}"
    seconds = {"kafka": 10 + 4 * millions + 0.27 * millions**2, "lastword": 4 + 3 * millions}

    def run(column: str, options: Options) -> dict[str, float]:
        return clean(name, recipe, column, options)

    def title(scale: float) -> str:
        records = cleaning.scaled(draws, scale)
        return f"{millions * scale:g} M keys, {records:,} records, 60 B values, uncompressed, {cleaning.setting(scale)}"

    return Work(name, title, seconds, run)
