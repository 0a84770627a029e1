"""Amounts, each a bar from 0, in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from joulebox_build.report.charts.axes import Words
from joulebox_build.report.charts.svg import WIDTH, add, beside, chart, hint, rendered, shortened, width_of, write

TOP, ROW, THICK = 24.0, 24.0, 13.0
VALUE = 62.0  # room for the figure at a bar's end


@dataclass(frozen=True)
class Bar:
    """A name, and as much of each part as the chart has parts."""

    name: str
    parts: Sequence[float]

    @property
    def total(self) -> float:
        return sum(self.parts)


def bars(amounts: Sequence[Bar], parts: Sequence[str], words: Words) -> Markup:
    """One below the other, from 0, the whole said at the end of each; what the parts are stands above, in their colours."""
    picture = chart(TOP + ROW * len(amounts), _said(amounts, parts, words))
    at = 0.0
    for number, part in enumerate(parts if len(parts) > 1 else ()):
        write(picture, at, 11, f"■ {part}", f"name p{number}")
        at += width_of(f"■ {part}") + 14
    left = beside([bar.name for bar in amounts])
    longest = max((bar.total for bar in amounts), default=0) or 1.0
    per_unit = (WIDTH - left - VALUE) / longest
    for row, bar in enumerate(amounts):
        y = TOP + ROW * row
        write(picture, left - 8, y + THICK - 2.5, shortened(bar.name, left - 8), "tick end")
        x = left
        for number, (part, amount) in enumerate(zip(parts, bar.parts, strict=True)):
            drawn = add(picture, "rect", f"p{number}", x=x, y=y, width=max(amount * per_unit, 0.5), height=THICK)
            hint(drawn, f"{bar.name}, {part}: {words(amount)}")
            x += amount * per_unit
        write(picture, x + 6, y + THICK - 2.5, words(bar.total), "value")
    return rendered(picture)


def _said(amounts: Sequence[Bar], parts: Sequence[str], words: Words) -> str:
    rows = [
        f"{bar.name} {', '.join(f'{part} {words(amount)}' for part, amount in zip(parts, bar.parts, strict=True))}"
        for bar in amounts
    ]
    return f"{' and '.join(parts)}: {'; '.join(rows)}"
