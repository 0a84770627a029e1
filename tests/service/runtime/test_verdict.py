"""Over is said at once and counted once a window; within takes a whole window; unknown is never within."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from joulebox.runtime.verdict import Verdict

WINDOW_S, LIMIT = 60.0, 1.0


def judged(*figures: float | None, every_s: float = 15.0) -> tuple[Verdict, list[bool | None]]:
    verdict = Verdict(LIMIT, WINDOW_S)
    seen = []
    for number, figure in enumerate(figures):
        verdict.feed(100 + number * every_s, figure)
        seen.append(verdict.over)
    return verdict, seen


def test_over_is_said_at_once_and_within_after_a_whole_window() -> None:
    verdict, seen = judged(0.5, 1.5, 0.5, 0.5, 0.5, 0.5)
    assert seen == [False, True, True, True, True, False]
    assert verdict.exceeded == 1


def test_a_figure_at_the_limit_is_within() -> None:
    assert judged(1.0)[1] == [False]


def test_each_window_that_is_over_counts_once() -> None:
    verdict, seen = judged(*[1.5] * 9)
    assert set(seen) == {True}
    assert verdict.exceeded == 3, "at 0, 60 and 120 s"


def test_a_figure_that_hovers_about_the_limit_changes_nothing() -> None:
    _, seen = judged(*[1.01, 0.99] * 20)
    assert set(seen) == {True}


def test_unknown_is_never_within() -> None:
    assert judged(None, 0.5, None, 0.5)[1] == [None, False, None, False]


def test_what_was_over_is_unknown_only_after_a_window_without_a_figure() -> None:
    verdict, seen = judged(1.5, None, None, None, None, None, 0.5)
    assert seen == [True, True, True, True, None, None, False]
    assert verdict.exceeded == 1


@given(st.lists(st.tuples(st.floats(0.01, 100), st.none() | st.floats(0, 2)), max_size=100))
def test_any_course(steps: list[tuple[float, float | None]]) -> None:
    verdict, now_s, begun_s, changes = Verdict(LIMIT, WINDOW_S), 0.0, None, 0
    for step_s, figure in steps:
        now_s += step_s
        before = verdict.over
        changed = verdict.feed(now_s, figure)
        assert changed is (verdict.over is not before)
        changes += changed and bool(verdict.over)
        if figure is None:
            assert verdict.over is not False
        elif figure > LIMIT:
            assert verdict.over is True
            begun_s = now_s if begun_s is None else begun_s
    if begun_s is None:
        assert verdict.exceeded == 0
    else:
        assert 1 <= verdict.exceeded <= 1 + (now_s - begun_s) / WINDOW_S
    assert changes <= max(verdict.exceeded, 0), "over is said no more often than it counts"
