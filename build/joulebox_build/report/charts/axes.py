"""A plot's frame: hairlines at round figures, with these beside them, and what is measured in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from joulebox_build.report.charts.scale import Scale
from joulebox_build.report.charts.svg import add, write

Words = Callable[[float], str]


@dataclass(frozen=True)
class Axis:
    """One direction: its scale, how a tick is said, and what the figures are."""

    scale: Scale
    words: Words
    title: str
    ticks: list[float] | None = None  # round figures where none are given


def percent(value: float) -> str:
    """A fraction of one, with as many digits as a tick needs."""
    return f"{100 * value:.4g} %"


def draw(picture: ET.Element, across: Axis, up: Axis) -> None:
    """`up` runs from a larger to a smaller y."""
    left, right = across.scale.start, across.scale.end
    bottom, top = up.scale.start, up.scale.end
    for value in up.scale.ticks() if up.ticks is None else up.ticks:
        y = up.scale(value)
        add(picture, "line", "grid", x1=left, x2=right, y1=y, y2=y)
        write(picture, left - 6, y + 3.5, up.words(value), "tick end")
    for value in across.scale.ticks() if across.ticks is None else across.ticks:
        x = across.scale(value)
        add(picture, "line", "grid", x1=x, x2=x, y1=top, y2=bottom)
        write(picture, x, bottom + 14, across.words(value), "tick middle")
    add(picture, "line", "axis", x1=left, x2=right, y1=bottom, y2=bottom)
    write(picture, right, bottom + 29, across.title, "title end")
    write(picture, 0, top - 8, up.title, "title")
