"""What is taken for what."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from joulebox_build.report.charts.svg import add, chart, hint, rendered, shortened, write

LEFT, TOP, RIGHT = 82.0, 78.0, 330.0
CLASSES_MAX = 20  # more cannot be read
SHADE_MAX = 0.95
SMALL = 24.0  # of a cell's side: its number is set smaller
DARK = 0.55  # shade: its number is set in the colour of the paper


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Of counts `[truth][answer]`, a shade for each cell by its part of its row; the number where it is not 0.

    Args:
        labels: at most `CLASSES_MAX`.
    """
    side = min(40.0, (RIGHT - LEFT) / len(labels))
    picture = chart(TOP + side * len(labels) + 4, _said(labels, counts))
    write(picture, LEFT - 6, TOP - 10, "is ↓  called →", "title end")
    for column, label in enumerate(labels):
        x = LEFT + side * (column + 0.5)
        group = add(picture, "g", transform=f"translate({x + 3:.2f} {TOP - 6:.2f}) rotate(-50)")
        write(group, 0, 0, shortened(label, 84), "tick")
    for row, (label, found) in enumerate(zip(labels, counts, strict=True)):
        y = TOP + side * row
        write(picture, LEFT - 6, y + side / 2 + 3.5, shortened(label, LEFT - 8), "tick end")
        for column, count in enumerate(found):
            words = f"{label} called {labels[column]}: {count:,} of {sum(found):,}"
            shade = _shade(count / (sum(found) or 1), row == column)
            kind = "right" if row == column else "wrong"
            square = {"x": LEFT + side * column, "y": y, "width": side - 1, "height": side - 1}
            hint(add(picture, "rect", kind, **square, fill_opacity=shade), words)
            if count:
                class_ = f"middle {'small' if side < SMALL else 'count'}{' on' if shade > DARK else ''}"
                write(picture, LEFT + side * (column + 0.5) - 0.5, y + side / 2 + 3, str(count), class_)
    return rendered(picture)


def _shade(part: float, right: bool) -> float:
    """Errors are rare: their shade grows with the root, so that one in a hundred is seen."""
    if part == 0:
        return 0.04
    return 0.08 + (SHADE_MAX - 0.08) * (part**2 if right else part**0.5)


def _said(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    rows = [
        f"{label}: {found[number]:,} of {sum(found):,}"
        for number, (label, found) in enumerate(zip(labels, counts, strict=True))
    ]
    return f"Confusion matrix, truth by row and answer by column. Right: {'; '.join(rows)}"
