"""How something changes: lines over a common axis, each named where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from joulebox_build.report.charts import axes
from joulebox_build.report.charts.labels import LINE
from joulebox_build.report.charts.scale import around
from joulebox_build.report.charts.svg import WIDTH, add, chart, hint, mark, points, rendered, width_of, write

HEIGHT, LEFT, TOP, BOTTOM = 210.0, 44.0, 26.0, 174.0


@dataclass(frozen=True)
class Curve:
    """Places `(x, y)` from left to right."""

    name: str
    places: Sequence[tuple[float, float]]
    series: int


def curves(lines: Sequence[Curve], across: str, up: str, words: axes.Words, *, log: bool = False) -> Markup:
    """The lines, `across` and `up` naming what is measured; `words` says a figure of `up`."""
    ends = [f"{line.name} {words(line.places[-1][1])}".strip() for line in lines]
    picture = chart(HEIGHT, f"{up} over {across}, at the end: {'; '.join(ends)}")
    right = WIDTH - min(130, max(width_of(end) for end in ends)) - 8
    horizontal = around([x for line in lines for x, _ in line.places], LEFT, right, log=log, margin=0.02)
    vertical = around([y for line in lines for _, y in line.places], BOTTOM, TOP, margin=0.05)
    axes.draw(picture, axes.Axis(horizontal, lambda x: f"{x:g}", across), axes.Axis(vertical, words, up))
    beside = _apart([vertical(line.places[-1][1]) for line in lines])
    for line, end, label_y in zip(lines, ends, beside, strict=True):
        drawn = [(horizontal(x), vertical(y)) for x, y in line.places]
        add(picture, "polyline", f"line c{line.series}", points=points(drawn))
        if len(drawn) == 1:
            for (x, y), (at, value) in zip(drawn, line.places, strict=True):
                hint(mark(picture, x, y, line.series, 4), f"{line.name}, {at:g}: {words(value)}")
        write(picture, drawn[-1][0] + 7, label_y + 3.5, end, f"name c{line.series}")
    return rendered(picture)


def _apart(heights: Sequence[float]) -> list[float]:
    """The same heights, moved so that no two labels meet."""
    found = list(heights)
    order = sorted(range(len(found)), key=lambda number: found[number])
    for above, below in pairwise(order):
        found[below] = max(found[below], found[above] + LINE)
    return found
