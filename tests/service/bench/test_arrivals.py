"""When requests are due."""

from __future__ import annotations

import asyncio
import time
from itertools import islice

import numpy as np
import pytest

from joulebox.bench.arrivals import CHUNK, Alarm, arrivals


def test_uniform_arrivals_are_even_across_chunks() -> None:
    moments = list(islice(arrivals("uniform", 100.0, 5.0, seed=0), 3 * CHUNK))
    assert moments[0] == pytest.approx(5.01)
    assert np.diff(moments) == pytest.approx(0.01)


def test_poisson_arrivals_have_the_rate_and_the_spread_of_exponential_gaps() -> None:
    gaps = np.diff(list(islice(arrivals("poisson", 50.0, 0.0, seed=1), 50_000)))
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    first, again, other = (list(islice(arrivals("poisson", 9.0, 0.0, seed), 2000)) for seed in (1, 1, 2))
    assert first == again != other


def test_an_alarm_rings_finer_than_the_loops_timers() -> None:
    """Ten alarms a third of a millisecond apart, where the loop's own timers would all ring after a whole one. The best of
    them, since the machine may be busy with something else."""

    async def ring() -> list[float]:
        rung, late = asyncio.Event(), list[float]()
        alarm = Alarm(rung.set)
        for _ in range(10):
            rung.clear()
            moment_s = time.perf_counter() + 1 / 3000
            alarm.set(moment_s)
            await rung.wait()
            late.append(time.perf_counter() - moment_s)
        alarm.close()
        return late

    late = asyncio.run(ring())
    assert 0 <= min(late) < 5e-4


def test_an_alarm_for_the_past_rings_at_once() -> None:
    async def ring() -> None:
        rung = asyncio.Event()
        alarm = Alarm(rung.set)
        alarm.set(time.perf_counter() - 1)
        await asyncio.wait_for(rung.wait(), 1)
        alarm.close()

    asyncio.run(ring())
