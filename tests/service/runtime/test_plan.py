"""How a model is computed follows from what was measured: a batch where it gains, one by one where it loses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebox.runtime.plan import CURVE_S, DELAY_MAX_S, DELAY_MIN_S, RUNS_MIN, SIZES, Plan, measure

NAME = "joulebox.runtime.plan.time.perf_counter"


class Host:
    """Computes in no time, by a clock of its own, on which a run of `n` items takes `cost(n)` seconds."""

    def __init__(self, cost: Callable[[int], float], first_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.runs: list[int] = []
        self._cost, self._first_s = cost, first_s

    def run(self, items: int) -> None:
        self.now_s += self._cost(items) + (0.0 if items in self.runs else self._first_s)
        self.runs.append(items)

    def plan(self, *, batched: bool = True, **settings: Any) -> Plan:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(NAME, lambda: self.now_s)
            return measure(self.run, batched=batched, item_elements=16, **settings)


def test_where_a_batch_costs_as_much_as_its_items_there_is_none() -> None:
    for factor in (1.0, 1.2):
        plan = Host(lambda n, factor=factor: 1e-3 * n * factor ** (n > 1)).plan()
        assert (plan.batch_max, plan.delay_s) == (1, 0.0)
        assert plan.item_s == pytest.approx(1e-3)


def test_sizes_that_gain_nothing_are_not_tried_on_and_on() -> None:
    host = Host(lambda n: 1e-3 * n)
    host.plan()
    assert set(host.runs) == {1, 2, 4}


def test_the_smallest_batch_with_nearly_all_of_the_gain_is_chosen() -> None:
    plan = Host(lambda n: 1e-3 + 1e-5 * n).plan()
    per_item = {size: run_s / size for size, run_s in plan.curve}
    best = min(per_item.values())
    assert [size for size, _ in plan.curve] == list(SIZES)
    assert plan.batch_max == min(size for size, each in per_item.items() if each <= best / 0.95)
    assert plan.batch_max == 64
    saturated = Host(lambda n: max(1.0, n / 8) * 1e-3).plan()
    assert saturated.batch_max == 8
    assert saturated.delay_s == pytest.approx(7 / 8 * 1e-3), "as long as a full batch saves a request"


def test_a_gain_smaller_than_what_queueing_costs_is_none() -> None:
    assert Host(lambda n: 1e-5 + 1e-7 * n).plan().batch_max == 1
    assert Host(lambda n: 9.5e-4 * n + 5e-5).plan().batch_max == 1


def test_the_delay_is_bounded_and_a_tiny_one_is_none() -> None:
    assert Host(lambda n: 0.02 + 1e-4 * n).plan().delay_s == DELAY_MAX_S
    plan = Host(lambda n: 5e-5 + 5e-6 * n).plan()
    assert plan.batch_max > 1
    assert plan.delay_s == 0.0


def test_what_the_operator_has_set_holds() -> None:
    loses = Host(lambda n: 1e-3 * n * n)
    plan = loses.plan(batch_max=24, delay_ms=2.5)
    assert (plan.batch_max, plan.delay_s) == (24, 2.5e-3)
    assert max(loses.runs) <= 24
    gains = Host(lambda n: 1e-3 + 1e-5 * n)
    assert gains.plan(batch_max=3).batch_max == 3
    assert set(gains.runs) == {1, 2, 3}
    assert gains.plan(delay_ms=0.0).delay_s == 0.0
    assert gains.plan(batch_max=1, delay_ms=2.0).delay_s == 0.0, "nothing to wait for"


def test_a_model_that_is_not_batched_is_measured_one_by_one_only() -> None:
    host = Host(lambda n: 1e-3 / n)
    plan = host.plan(batched=False, batch_max=8, delay_ms=1.0)
    assert (plan.batch_max, plan.delay_s) == (1, 0.0)
    assert set(host.runs) == {1}


def test_a_size_that_the_engine_cannot_compute_ends_the_curve_and_no_more() -> None:
    def run(items: int) -> None:
        if items > 4:
            raise MemoryError
        host.run(items)

    host = Host(lambda n: 1e-3 + 1e-5 * n)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NAME, lambda: host.now_s)
        plan = measure(run, batched=True, item_elements=1)
    assert plan.batch_max == 4


def test_the_first_run_of_a_size_does_not_count() -> None:
    plan = Host(lambda n: 1e-3 * n, first_s=0.5).plan()
    assert plan.item_s == pytest.approx(1e-3)


@pytest.mark.parametrize("item_s", [1e-6, 1e-3, 0.02, 0.5, 5.0])
def test_measuring_is_over_soon(item_s: float) -> None:
    for cost in (lambda _: item_s, lambda n: item_s * n, lambda n: item_s * math.sqrt(n)):
        host = Host(cost)
        host.plan(batch_max=4096)
        alone_s = max(0.1, (RUNS_MIN + 2) * item_s)
        assert host.now_s <= alone_s + 1.5 * CURVE_S


@settings(max_examples=100)
@given(
    costs=st.lists(st.floats(1e-6, 0.1), min_size=7, max_size=7),
    batch_max=st.integers(0, 70),
    items=st.integers(1, 500),
)
def test_any_curve_gives_a_plan_that_was_measured(costs: list[float], batch_max: int, items: int) -> None:
    plan = Host(lambda n: costs[min(6, n.bit_length() - 1)]).plan(batch_max=batch_max)
    assert plan.batch_max == batch_max or (batch_max == 0 and plan.batch_max in dict(plan.curve))
    assert 0 <= plan.delay_s <= DELAY_MAX_S
    assert plan.delay_s == 0 or plan.delay_s >= DELAY_MIN_S
    assert plan.curve[0] == (1, plan.item_s)
    assert plan.seconds(items) > 0
    for size, run_s in plan.curve:
        assert plan.seconds(size) == pytest.approx(run_s)
