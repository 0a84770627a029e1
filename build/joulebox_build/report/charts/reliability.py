"""Whether confidence can be believed: how often the model was right, over how sure it was."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from joulebox_build.judge.calibration import Bin
from joulebox_build.report.charts import axes
from joulebox_build.report.charts.scale import Scale
from joulebox_build.report.charts.svg import WIDTH, add, chart, hint, mark, points, rendered, write

HEIGHT, LEFT, TOP, BOTTOM = 290.0, 40.0, 26.0, 254.0
TICKS = [0.0, 0.25, 0.5, 0.75, 1.0]


def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Of a model before and after its temperature was fitted; a model that can be believed lies on the diagonal."""
    across = Scale(0, 1, LEFT, WIDTH - 12)
    up = Scale(0, 1, BOTTOM, TOP)
    said = "; ".join(f"{each.confidence:.0%} sure, {each.accuracy:.0%} right" for each in after)
    picture = chart(HEIGHT, f"Accuracy over confidence, after the temperature was fitted: {said}")
    axes.draw(
        picture,
        axes.Axis(across, axes.percent, "how sure the model was", TICKS),
        axes.Axis(up, axes.percent, "how often it was right", TICKS),
    )
    add(picture, "line", "diagonal", x1=across(0), y1=up(0), x2=across(1), y2=up(1))
    write(picture, across(0.27), up(0.38), "as sure as right", "note end")
    add(picture, "polyline", "faint", points=points((across(each.confidence), up(each.accuracy)) for each in before))
    for each in before:
        add(picture, "circle", "hollow", cx=across(each.confidence), cy=up(each.accuracy), r=3)
    add(picture, "polyline", "line c1", points=points((across(each.confidence), up(each.accuracy)) for each in after))
    for each in after:
        words = f"{each.confidence:.1%} sure, {each.accuracy:.1%} right, {each.samples:,} samples"
        hint(mark(picture, across(each.confidence), up(each.accuracy), 1, 4), words)
    write(picture, across(0.97), up(0.13), "● temperature fitted", "name c1 end")
    write(picture, across(0.97), up(0.06), "○ as trained", "note end")
    return rendered(picture)
