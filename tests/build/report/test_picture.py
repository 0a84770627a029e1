"""The picture of accuracy against size: scalable and self-contained, or a PNG."""

from pathlib import Path
from xml.etree import ElementTree as ET

from joulebox_build.report.picture import Point, svg, write_png

POINTS = [Point("teacher", 7_500_000, 0.94), Point("student int8", 71_000, 0.92), Point("baseline", 32_000, 0.84)]


def test_the_svg_is_xml_that_names_every_model_in_the_pages_own_colour() -> None:
    text = svg(POINTS)
    ET.fromstring(text)
    assert all(point.name in text for point in POINTS)
    assert "currentColor" in text
    assert "#010203" not in text


def test_the_svg_is_the_same_each_time() -> None:
    assert svg(POINTS) == svg(POINTS)


def test_the_png_is_one(tmp_path: Path) -> None:
    write_png(POINTS, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
