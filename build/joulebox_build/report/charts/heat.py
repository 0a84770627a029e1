"""Where a picture mattered: shades over it."""

from __future__ import annotations

from markupsafe import Markup

from joulebox_build.report.charts.svg import add, chart, rendered

SIDE = 96.0
GAP = 4.0


def heat(picture: str, shades: str, words: str) -> Markup:
    """The image, and beside it the same under its shades; both are `data:` addresses, stretched to squares."""
    drawn = chart(SIDE, words, width=2 * SIDE + GAP)
    for left in (0.0, SIDE + GAP):
        add(drawn, "image", "pixels", href=picture, x=left, y=0, width=SIDE, height=SIDE, preserveAspectRatio="none")
    add(drawn, "image", href=shades, x=SIDE + GAP, y=0, width=SIDE, height=SIDE, preserveAspectRatio="none")
    return rendered(drawn)
