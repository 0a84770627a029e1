"""Labels stand beside their points, and none lies on another while there is room."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.report.charts.labels import LINE, Box, place
from joulebox_build.report.charts.svg import width_of

FRAME = Box(0, 0, 360, 250)


def box_of(x: float, y: float, anchor: str, text: str) -> Box:
    width = width_of(text)
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return Box(left, y - LINE / 2 - 4, left + width, y + LINE / 2 - 4)


@given(points=st.lists(st.tuples(st.floats(20, 340), st.floats(20, 230)), min_size=1, max_size=6))
def test_six_labels_do_not_meet_wherever_their_points_are(points: list[tuple[float, float]]) -> None:
    texts = [f"model {number}" for number in range(len(points))]
    found = place(points, texts, FRAME)
    boxes = [box_of(each.x, each.y, each.anchor, text) for each, text in zip(found, texts, strict=True)]
    assert all(box.left >= -1 and box.right <= 361 for box in boxes)
    assert not any(first.meets(second) for first, second in combinations([_inner(box) for box in boxes], 2))


def _inner(box: Box) -> Box:
    return Box(box.left + 1, box.top + 1, box.right - 1, box.bottom - 1)


def test_a_label_alone_stands_to_the_right_of_its_point_and_to_the_left_at_the_edge() -> None:
    (inside,), (edge,) = place([(100, 100)], ["model"], FRAME), place([(350, 100)], ["model"], FRAME)
    assert (inside.anchor, inside.far) == ("start", False)
    assert edge.anchor == "end"
