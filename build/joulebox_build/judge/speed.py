"""How many times as fast as another a model is: both run in short turns, so that whatever slows the machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox_build.graph.inference import run, session

TURNS = 40
RUNS = 5  # in a turn, after one that brings the model's weights back into the cache


def speedup(reference: bytes, candidate: bytes, sample: NDArray[Any]) -> float:
    """The reference's time by the candidate's, for one sample `[1, ...]` at a time on one thread: the median over the turns."""
    slow, fast = (session(model, threads=1) for model in (reference, candidate))
    ratios = [_best_s(lambda: run(slow, sample)) / _best_s(lambda: run(fast, sample)) for _ in range(TURNS)]
    return float(np.median(ratios))


def _best_s(work: Callable[[], object]) -> float:
    """The shortest of a turn's runs: what interrupts one only makes it longer."""
    work()
    times_s: list[float] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return min(times_s)
