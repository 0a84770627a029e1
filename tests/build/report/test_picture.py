"""The picture of accuracy against size."""

from pathlib import Path

from joulebox_build.report.picture import Point, write_png

POINTS = [Point("teacher", 7_500_000, 0.94), Point("student int8", 71_000, 0.92), Point("baseline", 32_000, 0.84)]


def test_it_is_a_png(tmp_path: Path) -> None:
    write_png(POINTS, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
