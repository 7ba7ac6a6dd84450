"""A line chart as SVG, both axes logarithmic, in plain Python."""

import dataclasses
import math
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 44, 56
COLOURS = ("#c2410c", "#1d4ed8")


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float
    label: str
    # The true value is higher than y: drawn hollow.
    is_floor: bool = False


def chart(title: str, x_label: str, y_label: str, series: dict[str, list[Point]]) -> str:
    """Points are joined in order; every one carries its label."""
    points = [point for line in series.values() for point in line]
    xs = sorted({point.x for point in points})
    low, high = _decade(min(it.y for it in points), math.floor), _decade(max(it.y for it in points), math.ceil)
    if low == high:
        high = low * 10

    def x_at(x: float) -> float:
        if xs[0] == xs[-1]:
            return (LEFT + WIDTH - RIGHT) / 2
        return LEFT + 20 + (WIDTH - RIGHT - LEFT - 40) * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * math.log(y / low) / math.log(high / low)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" fill="#111827">{escape(title)}</text>',
    ]
    tick = low
    while tick <= high * 1.001:
        for factor in (1, 2, 5):
            value = tick * factor
            if value <= high * 1.001:
                y = y_at(value)
                shade = "#d1d5db" if factor == 1 else "#eef0f3"
                out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{shade}"/>')
                out.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
        tick *= 10
    for x in xs:
        out.append(f'<path d="M{x_at(x):.1f} {HEIGHT - BOTTOM}v5" stroke="#6b7280"/>')
        out.append(_text(x_at(x), HEIGHT - BOTTOM + 20, f"{x:g}", "middle"))
    out.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#6b7280"/>')
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text transform="translate(16 {middle:.0f}) rotate(-90)" text-anchor="middle" fill="#374151">{escape(y_label)}</text>'
    )
    for (name, line), colour in zip(series.items(), COLOURS):
        path = " ".join(f"{'ML'[i > 0]}{x_at(it.x):.1f} {y_at(it.y):.1f}" for i, it in enumerate(line))
        out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for it in line:
            fill = "#ffffff" if it.is_floor else colour
            out.append(
                f'<circle cx="{x_at(it.x):.1f}" cy="{y_at(it.y):.1f}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
            )
            out.append(_text(x_at(it.x), y_at(it.y) - 10, it.label, "middle", colour))
        if line:
            out.append(_text(x_at(line[-1].x) + 28, y_at(line[-1].y) + 4, name, "start", colour))
    return "\n".join([*out, "</svg>", ""])


def _decade(value: float, rounded) -> float:
    return 10.0 ** rounded(math.log10(value))


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#374151") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
