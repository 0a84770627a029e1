"""Charts are XML that says in words what it shows, the same each time, whatever the labels are."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox_build.judge.calibration import Bin
from joulebox_build.report.charts.bars import Bar, bars
from joulebox_build.report.charts.confusion import confusion
from joulebox_build.report.charts.curves import Curve, curves
from joulebox_build.report.charts.dots import Group, dots
from joulebox_build.report.charts.heat import heat
from joulebox_build.report.charts.pareto import Point, pareto, unbeaten
from joulebox_build.report.charts.reliability import reliability

PIXEL = "data:image/png;base64,"
BINS = [Bin(0.4, 0.5, 10), Bin(0.9, 0.85, 10)]

CHARTS: dict[str, Callable[[str], str]] = {
    "pareto": lambda name: pareto(
        [Point(name, 100, 0.9, [0.88, 0.92], 1), Point("other", 9000, 0.8, [0.7, 0.9], 0)], "bytes", str
    ),
    "reliability": lambda _: reliability(BINS, BINS),
    "confusion": lambda name: confusion([name, "other"], [[5, 1], [0, 6]]),
    "dots": lambda name: dots(
        [Group(name, 9, 0.5, [0.3, 0.7], 0.6), Group("other", 5, 1.0, [0.6, 1.0])], 0.6, "by class"
    ),
    "bars": lambda name: bars([Bar(name, (1, 2)), Bar("other", (0, 0))], ("weights", "activations"), str),
    "curves": lambda name: curves(
        [Curve(name, [(1, 0.5), (2, 0.6)], 1), Curve("other", [(1, 0.5)], 0)],
        "epoch",
        "%",
        str,
    ),
    "heat": lambda name: heat(PIXEL, PIXEL, name),
}


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=20)
@given(name=st.text(max_size=60))
def test_any_label_leaves_it_well_formed_and_the_same_each_time(kind: str, name: str) -> None:
    drawn = CHARTS[kind](name)
    assert drawn == CHARTS[kind](name)
    root = ET.fromstring(drawn)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert {element.tag for element in root.iter()} <= {
        *("svg", "g", "line", "polyline", "polygon", "circle", "rect", "text", "title", "image")
    }


@pytest.mark.parametrize("kind", [kind for kind in CHARTS if kind != "reliability"])
def test_its_label_names_what_is_shown(kind: str) -> None:
    assert "Sandal" in (ET.fromstring(CHARTS[kind]("Sandal")).get("aria-label") or "")


@pytest.mark.parametrize("kind", CHARTS)
def test_nothing_has_a_place_that_is_no_number(kind: str) -> None:
    for element in ET.fromstring(CHARTS[kind]("name")).iter():
        assert "nan" not in " ".join(element.attrib.values())
        assert "inf" not in " ".join(element.attrib.values())


def test_the_front_is_of_those_that_no_other_beats() -> None:
    small, large, bad = (
        Point(name, price, right, [0, 1], 0) for name, price, right in [("s", 1, 0.8), ("l", 9, 0.9), ("b", 9, 0.7)]
    )
    assert [unbeaten(each, [small, large, bad]) for each in (small, large, bad)] == [True, True, False]
    assert unbeaten(small, [small, small])


def test_the_matrix_says_each_count_that_is_not_zero() -> None:
    root = ET.fromstring(confusion(["a", "b"], [[5, 1], [0, 6]]))
    texts = [element.text for element in root.iter("text")]
    assert {"5", "1", "6"} <= set(texts)
    assert "0" not in texts


def test_a_teacher_that_is_never_right_on_a_group_lies_on_the_scale() -> None:
    root = ET.fromstring(dots([Group("x", 9, 0.9, [0.8, 1], other=0.0)], 0.9, "by class"))
    (teacher,) = root.iter("polygon")
    (axis,) = (element for element in root.iter("text") if element.text == "0 %")
    left = float(str(teacher.get("points")).partition(",")[0])
    assert left == pytest.approx(float(str(axis.get("x"))) - 3.5, abs=0.1)


def test_groups_stand_worst_first() -> None:
    root = ET.fromstring(dots([Group("good", 9, 0.9, [0.8, 1]), Group("bad", 9, 0.5, [0.4, 0.6])], 0.7, "by class"))
    texts = [element.text for element in root.iter("text")]
    assert texts.index("bad") < texts.index("good")
