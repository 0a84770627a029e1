"""Groups of samples, each a line: how often the model is right there, with its interval, and others for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from joulebox_build.report.charts import axes
from joulebox_build.report.charts.scale import Scale, around
from joulebox_build.report.charts.svg import WIDTH, add, beside, chart, hint, mark, rendered, shortened, write

TOP, ROW = 26.0, 19.0
RIGHT = WIDTH - 56


@dataclass(frozen=True)
class Group:
    """A group's name, how many samples it has, and the accuracy there with its interval; of another model, too."""

    name: str
    samples: int
    accuracy: float
    ci95: Sequence[float]
    other: float | None = None


def dots(groups: Sequence[Group], overall: float, title: str) -> Markup:
    """Worst first, with a line at the accuracy over all samples."""
    shown = sorted(groups, key=lambda group: (group.accuracy, group.name))
    left = beside([group.name for group in shown])
    bottom = TOP + ROW * len(shown)
    ends = [end for group in shown for end in (*group.ci95, group.accuracy if group.other is None else group.other)]
    scale = around([*ends, overall], left, RIGHT, margin=0.04)
    scale = Scale(max(0.0, scale.low), min(1.0, scale.high), left, RIGHT)
    picture = chart(bottom + 34, f"{title}: {'; '.join(f'{group.name} {group.accuracy:.1%}' for group in shown)}")
    axes.draw(
        picture,
        axes.Axis(scale, axes.percent, "test accuracy"),
        axes.Axis(Scale(0, 1, bottom, TOP), str, title, []),
    )
    add(picture, "line", "overall", x1=scale(overall), x2=scale(overall), y1=TOP, y2=bottom)
    for number, group in enumerate(shown):
        y = TOP + ROW * (number + 0.5)
        write(picture, left - 8, y + 3.5, shortened(group.name, left - 8), "tick end")
        add(picture, "line", "whisker c1", x1=scale(group.ci95[0]), x2=scale(group.ci95[1]), y1=y, y2=y)
        if group.other is not None:
            hint(mark(picture, scale(group.other), y, 0, 3.5), f"teacher, {group.name}: {group.other:.1%}")
        words = f"{group.name}: {group.accuracy:.2%} of {group.samples:,} ({group.ci95[0]:.1%} to {group.ci95[1]:.1%})"
        hint(mark(picture, scale(group.accuracy), y, 1, 4.5), words)
        write(picture, WIDTH, y + 3.5, f"{100 * group.accuracy:.1f} %", "value end")
    return rendered(picture)
