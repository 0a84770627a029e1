"""What a model has used is added up over versions, reloads and devices, and unknown where one device's part is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Account
from joulebox.runtime.spending import STEPS, Spending, Use, Window, rate

OLD, NEW = ("tiny", "1"), ("tiny", "2")


def account(joules: float, items: int, seconds: float) -> Account:
    return Account(joules=joules, items=items, known_s=seconds)


def test_a_version_that_takes_over_goes_on_counting_and_its_time_counts_once() -> None:
    spending, old, new = Spending(), account(1.0, 10, 1.0), account(0.0, 0, 0.0)
    spending.feed({"cpu": {OLD: old}})
    old.joules, old.items, old.known_s = 2.0, 20, 2.0
    new.joules, new.items, new.known_s = 0.5, 5, 1.0
    assert spending.feed({"cpu": {OLD: old, NEW: new}}) == {"tiny": {"cpu": Use(2.5, 25, 2.0, 2)}}
    new.joules, new.items, new.known_s = 1.5, 15, 2.0
    assert spending.feed({"cpu": {NEW: new}}) == {"tiny": {"cpu": Use(3.5, 35, 3.0, 3)}}


def test_a_model_that_was_loaded_anew_takes_nothing_back() -> None:
    spending = Spending()
    spending.feed({"cpu": {OLD: account(5.0, 50, 5.0)}})
    assert spending.feed({"cpu": {OLD: account(1.0, 10, 1.0)}}) == {"tiny": {"cpu": Use(6.0, 60, 6.0, 2)}}


def test_a_model_that_was_unloaded_begins_anew() -> None:
    spending = Spending()
    spending.feed({"cpu": {OLD: account(5.0, 50, 5.0)}})
    assert spending.feed({"cpu": {}}) == {}
    assert spending.feed({"cpu": {OLD: account(1.0, 10, 1.0)}}) == {"tiny": {"cpu": Use(1.0, 10, 1.0, 1)}}


def test_what_stands_still_is_not_settled() -> None:
    spending = Spending()
    for _ in range(3):
        uses = spending.feed({"cpu": {OLD: account(5.0, 50, 5.0)}})
    assert uses["tiny"]["cpu"].settled == 1


def test_a_device_that_says_nothing_makes_the_whole_unknown() -> None:
    uses = Spending().feed({"cpu": {OLD: account(60.0, 600, 60.0)}, "gpu": {}})
    assert uses["tiny"] == {"cpu": Use(60.0, 600, 60.0, 1), "gpu": Use()}
    assert rate(uses["tiny"], "W", seconds=60) is None
    assert rate(uses["tiny"], "J", seconds=60) is None


def test_devices_add_up_each_by_what_it_has_settled() -> None:
    uses = {"cpu": Use(60.0, 600, 60.0, 240), "gpu": Use(150.0, 300, 30.0, 1)}  # the slower counter is behind
    assert rate(uses, "W", seconds=60) == pytest.approx(1 + 5)
    assert rate(uses, "J", seconds=60) == pytest.approx(0.1 + 0.5)


def test_too_little_is_no_figure() -> None:
    assert rate({}, "W", seconds=60) is None
    assert rate({"cpu": Use(9.0, 100, 29.0, 100)}, "W", seconds=60) is None
    assert rate({"cpu": Use(9.0, 19, 60.0, 100)}, "J", seconds=60) is None
    assert rate({"cpu": Use(9.0, 19, 60.0, 100)}, "W", seconds=60) == pytest.approx(0.15)
    assert rate({"cpu": Use(0.0, 0, 60.0, 100)}, "W", seconds=60) == 0.0


@given(
    seconds=st.floats(1, 1000),
    steps=st.lists(st.tuples(st.floats(0.01, 60), st.floats(0, 100)), min_size=1, max_size=200),
)
def test_a_window_holds_what_was_used_in_it_and_a_little_more(seconds: float, steps: list[tuple[float, float]]) -> None:
    window, now_s, total = Window(seconds), 0.0, Use()
    fed = []
    for step_s, joules in steps:
        now_s += step_s
        total = Use(total.joules + joules, 0, total.seconds + step_s, 0)
        fed.append((now_s, total))
        used = window.feed(now_s, {"cpu": total})["cpu"]
        inside = [use for at_s, use in fed if at_s > now_s - seconds]
        longer = [use for at_s, use in fed if at_s >= now_s - seconds * (1 + 1 / STEPS) - 60]
        assert used.joules >= total.joules - inside[0].joules - 1e-6
        assert used.joules <= total.joules - longer[0].joules + 1e-6
        assert len(window._marks) <= STEPS + 2


def test_a_window_over_an_unloaded_model_is_empty() -> None:
    window = Window(10)
    window.feed(1, {"cpu": Use(50.0, 1, 1.0, 1)})
    assert window.feed(2, {}) == {}
    assert window.feed(3, {"cpu": Use(1.0, 1, 1.0, 1)}) == {"cpu": Use()}
