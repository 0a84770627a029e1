"""A load in real time, beside a counter whose truth is known: it moves by what really ran."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import open_sources, with_ticks
from joulebox.energy.driver import Driver, Latencies
from joulebox.energy.trial import plan_trial, run_trial
from laid import LaidHost

WATTS = 30.0


class Busy:
    """Seconds in which `run` was under way."""

    def __init__(self) -> None:
        self._busy_s, self._since_s = 0.0, 0.0

    def run(self) -> None:
        self._since_s = begun_s = time.perf_counter()
        time.sleep(0.002)
        self._busy_s += time.perf_counter() - begun_s
        self._since_s = 0.0

    def joules(self) -> float:
        since_s = self._since_s
        return WATTS * (self._busy_s + (time.perf_counter() - since_s if since_s else 0.0))


def test_joules_per_item_are_those_that_the_runs_used(tmp_path: Path) -> None:
    busy = Busy()
    with LaidHost(tmp_path, dynamic_joules=busy.joules).running() as host:
        sources = with_ticks(open_sources(host.environment))
        driver = Driver(busy.run, items=4)
        (found,) = run_trial(sources.meters, [driver], plan_trial(sources.meters, 3))
    assert found.joules_per_item is not None
    truth = WATTS * driver.latencies.total_s / driver.latencies.count / 4
    assert found.joules_per_item == pytest.approx(truth, rel=0.1)
    assert found.idle_watts == pytest.approx(10.0, rel=0.1)
    assert (found.turns, found.left_out) == (3, 0)
    assert found.ci95 is not None


def test_progress_counts_runs_and_the_part_of_the_one_under_way() -> None:
    driver = Driver(lambda: time.sleep(0.01), items=1)
    with driver.working() as progress:
        seen = [progress(time.perf_counter()) for _ in range(200) if time.sleep(0.001) is None]
    assert all(later >= earlier - 0.01 for earlier, later in pairwise(seen))
    assert any(value % 1 > 0.2 for value in seen)
    assert driver.latencies.count - 1 <= seen[-1] <= driver.latencies.count + 1


def test_what_the_run_raises_is_raised_and_ends_it() -> None:
    calls: list[int] = []

    def fails() -> None:
        time.sleep(0.1)
        calls.append(1)
        if len(calls) > 5:
            raise ValueError("gone")

    driver = Driver(fails, items=1)
    with pytest.raises(ValueError, match="gone"), driver.working():
        time.sleep(0.5)
    assert len(calls) == 6


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=2000), st.integers(2, 64))
def test_kept_latencies_are_bounded_and_lie_among_those_that_were(durations: list[float], most: int) -> None:
    latencies = Latencies(most)
    for seconds in durations:
        latencies.add(seconds)
    assert len(latencies._kept) <= most
    assert latencies.count == len(durations)
    assert latencies.total_s == pytest.approx(sum(durations))
    for fraction in (0.0, 0.5, 0.99):
        assert latencies.quantile(fraction) in durations


def test_a_quantile_of_more_than_are_kept_is_near_the_exact_one() -> None:
    latencies = Latencies(1000)
    for number in range(100_000):
        latencies.add((number * 7919 % 100_000) / 1e5)
    assert latencies.quantile(0.5) == pytest.approx(0.5, abs=0.05)
    assert latencies.quantile(0.99) == pytest.approx(0.99, abs=0.01)
