"""The simulated truth is one: clocks, batches and power do what its modules say. What the ledger is measured by has to be right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clocks import FIXED, PERIOD_S, Clock, Governor
from history import TWO, Host, Load, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

GOVERNOR = Governor()
ONE = Host((Load(60, 0.4, 0.6),))


def test_a_clock_rises_with_utilisation_and_lags_behind() -> None:
    clock, seen = Clock(GOVERNOR, 1), []
    for _ in range(100):
        seen.append(clock.now(1))
        clock.advance(clock.due_s, [PERIOD_S * clock.now(1)])
    assert seen[0] == GOVERNOR.slowest
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 5 < seen.index(1.0) < 50
    for _ in range(100):
        clock.advance(clock.due_s, [0.0])
    assert clock.now(1) == GOVERNOR.slowest


def test_the_clock_is_that_of_the_busiest_model_and_falls_with_the_number_that_run() -> None:
    clock = Clock(Governor(turbo=0.1), 3)
    for _ in range(100):
        clock.advance(clock.due_s, [0.0, PERIOD_S, 0.0])
    assert [clock.now(running) for running in (1, 2, 3)] == pytest.approx([1.0, 0.9, 0.8])


def test_power_is_about_cubic_in_the_clock() -> None:
    slow, middle, fast = GOVERNOR.power(np.array([0.3, 0.65, 1.0]))
    assert (slow, fast) == (pytest.approx(0.3 * 0.6**2), 1.0)
    assert np.log(fast / middle) / np.log(1 / 0.65) == pytest.approx(2, abs=0.5)
    assert FIXED.power(np.array([1.0])) == pytest.approx([1.0])


def test_an_inference_takes_longer_at_a_slower_clock_and_costs_less() -> None:
    fixed, governed = simulate(ONE, 1), simulate(replace(ONE, governor=GOVERNOR), 1)
    busy_s = [truth.busy[0, -1] / len(truth.finished[0]) for truth in (fixed, governed)]
    assert busy_s[0] == pytest.approx(0.01, rel=1e-3)
    assert busy_s[1] > 1.1 * busy_s[0]
    assert governed.joules_per_item(0) < 0.9 * fixed.joules_per_item(0)


def test_a_larger_batch_draws_more_power_and_takes_less_time_for_each() -> None:
    load = ONE.loads[0]
    sizes = np.array([0, 1, 8, 16])
    watts = load.power(sizes, np.zeros(4))
    assert watts.tolist() == pytest.approx([0.0, 60.0, 60 * 8**0.25, 120.0])
    each_s = [load.batch_s(int(size)) / size for size in sizes[1:]]
    assert each_s == sorted(each_s, reverse=True)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(TWO)),
    st.sampled_from([FIXED, GOVERNOR, Governor(turbo=0.15)]),
    st.sampled_from([(1,), (1, 4, 16)]),
    st.sampled_from([None, 50.0]),
    st.integers(0, 99),
)
def test_joules_are_idle_power_and_what_each_model_used(name, governor, batches, cap_watts, seed) -> None:
    loads = tuple(replace(load, batches=batches) for load in TWO[name])
    truth = simulate(Host(loads, seconds=20, governor=governor, cap_watts=cap_watts), seed)
    assert truth.joules[-1] == pytest.approx(20 * 20 + truth.dynamic[:, -1].sum())
    assert (np.diff(truth.dynamic, axis=1)[np.diff(truth.busy, axis=1) == 0] == 0).all()
    work_s = (np.diff(truth.busy, axis=1) * truth.clocks).sum(axis=1)
    for load, finished, done_s in zip(loads, truth.finished, work_s, strict=True):
        assert (np.diff(finished) >= 0).all()
        if batches == (1,):
            assert len(finished) * load.item_s == pytest.approx(done_s, abs=1.001 * load.item_s)
