"""Labels beside their points, none upon another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from joulebox_build.report.charts.svg import FONT, width_of

GAP = 9.0
LINE = FONT * 1.25
Anchor = Literal["start", "middle", "end"]
RINGS = 7  # how far a label may go from its point, in lines


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Place:
    """Where a text starts or ends (by `anchor`), and whether that is far enough from its point to need a line to it."""

    x: float
    y: float  # of the text's baseline
    anchor: Anchor
    far: bool


def place(points: Sequence[tuple[float, float]], texts: Sequence[str], frame: Box) -> list[Place]:
    """For each text, the first free place around its point; where nothing is free, the last that was tried."""
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    found: list[Place] = []
    for point, text in zip(points, texts, strict=True):
        chosen, box = _first_free(point, width_of(text), frame, taken)
        taken.append(box)
        found.append(chosen)
    return found


def _first_free(point: tuple[float, float], width: float, frame: Box, taken: list[Box]) -> tuple[Place, Box]:
    tried = _places(point, width)
    for chosen, box in tried:
        if box.within(frame) and not any(box.meets(other) for other in taken):
            return chosen, box
    return next((each for each in tried if each[1].within(frame)), tried[0])


def _places(point: tuple[float, float], width: float) -> list[tuple[Place, Box]]:
    x, y = point
    found: list[tuple[Place, Box]] = []
    for ring in range(RINGS):
        for down in (ring, -ring) if ring else (0,):
            middle = y + down * LINE
            for left, at, anchor in _sides(x, width):
                if anchor == "middle" and not ring:
                    continue
                box = Box(left, middle - LINE / 2, left + width, middle + LINE / 2)
                found.append((Place(at, middle + FONT * 0.35, anchor, ring > 1), box))
    return found


def _sides(x: float, width: float) -> list[tuple[float, float, Anchor]]:
    """Right of the point, left of it, and in line with it: the text's left end, its place by its anchor, and that."""
    return [(x + GAP, x + GAP, "start"), (x - GAP - width, x - GAP, "end"), (x - width / 2, x, "middle")]
