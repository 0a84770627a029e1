"""SVG elements. ElementTree writes them, so whatever a label holds stays text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

WIDTH = 360.0
CHARACTER = 0.56  # of the font's size: the width of a letter, about
FONT = 11.0
NAME_MAX = 130.0
SERIES = 6  # colours and shapes that the page has


def chart(height: float, label: str, *, width: float = WIDTH) -> ET.Element:
    """An empty picture; the label says to those who cannot see it what it shows."""
    return ET.Element(
        "svg", {"viewBox": f"0 0 {number(width)} {number(height)}", "role": "img", "aria-label": printable(label)}
    )


def add(parent: ET.Element, tag: str, class_: str = "", **attributes: float | str) -> ET.Element:
    """A child. In the names of attributes `_` stands for `-`."""
    named = {name.replace("_", "-"): number(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, ({"class": class_} if class_ else {}) | named)


def write(parent: ET.Element, x: float, y: float, text: str, class_: str) -> None:
    """Text whose baseline is at `y`, and which starts at `x`, or by its class lies around (`middle`) or before it (`end`)."""
    add(parent, "text", class_, x=x, y=y).text = printable(text)


def hint(element: ET.Element, text: str) -> None:
    """Shown when the pointer rests on the element."""
    ET.SubElement(element, "title").text = printable(text)


def mark(parent: ET.Element, x: float, y: float, series: int, size: float = 5.0) -> ET.Element:
    """A point of a series, told from others by its shape as well as by its colour."""
    shapes = {
        0: [(-1, 0), (0, -1), (1, 0), (0, 1)],
        2: [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        3: [(-1, 0.8), (0, -1), (1, 0.8)],
        4: [(-1, -0.8), (1, -0.8), (0, 1)],
    }
    class_ = f"mark c{series % SERIES}"
    corners = shapes.get(series % SERIES)
    if corners is None:
        return add(parent, "circle", class_, cx=x, cy=y, r=size)
    return add(parent, "polygon", class_, points=points((x + size * right, y + size * down) for right, down in corners))


def points(places: Iterable[tuple[float, float]]) -> str:
    """Of a polyline or polygon, from pairs of x and y."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def number(value: float | str) -> str:
    """In hundredths, so that the same figures give the same bytes and few of them."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def width_of(text: str, size: float = FONT) -> float:
    """How wide a text is, about: the page's font is the reader's."""
    return len(text) * size * CHARACTER


def beside(names: Sequence[str]) -> float:
    """How much room the names of a chart's rows get, to the left of these."""
    return min(NAME_MAX, 8 + max((width_of(name) for name in names), default=0.0))


def shortened(text: str, width: float, size: float = FONT) -> str:
    """The text, or as much of it as fits."""
    letters = max(1, int(width / (size * CHARACTER)))
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def printable(text: str) -> str:
    """Without the control characters that XML and HTML have no place for."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def rendered(picture: ET.Element) -> Markup:
    """As it stands in a page of HTML."""
    return Markup(ET.tostring(picture, "unicode"))  # noqa: S704  # ElementTree has escaped it
