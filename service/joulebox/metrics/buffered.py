"""Observations that are kept in a list and added up in one go: a request then pays for an append, not for locks.

They reach the registry when somebody scrapes this process, and a few times a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FLUSH_AT = 8192  # bounds the list between two flushes


class Buffered:
    """A histogram with its labels set."""

    def __init__(self, histogram: Any) -> None:
        self._histogram = histogram
        self._bounds = np.asarray(histogram._upper_bounds)  # noqa: SLF001  # the library has no call for many values
        self._values: list[float] = []
        self._flushed = (0, 0.0)

    def observe(self, value: float) -> None:
        self._values.append(value)
        if len(self._values) >= FLUSH_AT:
            self._add()

    def flush(self) -> tuple[int, float]:
        """Adds what was observed to the histogram; gives the count and the sum since the last call."""
        self._add()
        flushed, self._flushed = self._flushed, (0, 0.0)
        return flushed

    def _add(self) -> None:
        if not self._values:
            return
        values, self._values = np.asarray(self._values), []
        total = float(values.sum())
        self._flushed = (self._flushed[0] + len(values), self._flushed[1] + total)
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds))
        counts = counts[: len(self._bounds)]  # NaN lies beyond the last one, and in no bucket
        self._histogram._sum.inc(total)  # noqa: SLF001
        for bucket in np.flatnonzero(counts):
            self._histogram._buckets[bucket].inc(int(counts[bucket]))  # noqa: SLF001
