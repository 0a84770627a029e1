"""Durations in buckets whose width grows with their value, so that memory does not grow with their number.

Log-linear, after Gil Tene's HDR histogram: each power of two is cut into equal buckets, whose middle is within 1/128 of
whatever falls into them.
"""

from __future__ import annotations

import math

import numpy as np

PER_OCTAVE = 64
LOWEST, HIGHEST = -20, 12  # powers of two: from 1 µs to 68 min; what lies outside counts at the edge
BUCKETS = (HIGHEST - LOWEST) * PER_OCTAVE


class Histogram:
    """Durations in seconds. Count, sum and maximum are exact; quantiles are within 1 %."""

    def __init__(self) -> None:
        self._buckets = np.zeros(BUCKETS, np.int64)
        self.count = 0
        self.total_s = 0.0
        self.max_s = 0.0

    def record(self, seconds: float) -> None:
        mantissa, exponent = math.frexp(seconds)  # seconds = mantissa · 2^exponent, mantissa from 0.5 below 1
        bucket = (exponent - 1 - LOWEST) * PER_OCTAVE + int((2 * mantissa - 1) * PER_OCTAVE) if seconds > 0 else 0
        self._buckets[min(max(bucket, 0), BUCKETS - 1)] += 1
        self.count += 1
        self.total_s += seconds
        self.max_s = max(self.max_s, seconds)

    def quantile(self, fraction: float) -> float | None:
        """The least duration that `fraction` of all do not exceed; None where there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(round(fraction * self.count, 6)))  # 0.07 · 100 is a little more than 7
        bucket = int(np.searchsorted(np.cumsum(self._buckets), rank))
        octave, step = divmod(bucket, PER_OCTAVE)
        return min(self.max_s, math.ldexp(1 + (step + 0.5) / PER_OCTAVE, octave + LOWEST))

    @property
    def mean_s(self) -> float | None:
        return self.total_s / self.count if self.count else None
