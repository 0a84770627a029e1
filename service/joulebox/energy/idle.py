"""Idle power: learnt while models are loaded and nothing runs, in a window that follows change."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

IdleSource = Literal["learnt", "regression", "calibration"]
"""Seen while nothing ran; the intercept of power over busy time; given."""

CHUNK_S = 0.5
CHUNK_INTERVALS = 2
PUBLISHED_CHUNKS = 4
WINDOW_S = 60.0
STALE_S = 1800.0  # learnt longer ago than that, an intercept seen since is preferred
SHIFT, SHIFT_CHUNKS = 0.03, 4  # of idle power: so many chunks so far off, and beyond their noise, start the window anew


@dataclass(frozen=True)
class Idle:
    """Idle power, how sure it is, and how it is known."""

    watts: float
    error_watts: float
    """One standard error."""
    source: IdleSource


@dataclass(frozen=True)
class _Chunk:
    seconds: float
    joules: float

    @property
    def watts(self) -> float:
        return self.joules / self.seconds


@dataclass
class QuietPower:
    """Mean power of the newest quiet intervals, about a minute of them."""

    idle: Idle | None = None
    age_s: float = 0.0
    """Time since anything was last quiet."""
    _chunks: deque[_Chunk] = field(default_factory=deque[_Chunk])
    _seconds: float = 0.0
    _joules: float = 0.0
    _count: int = 0

    def passed(self, seconds: float) -> None:
        """Time went by that was not quiet."""
        self.age_s += seconds

    def add(self, seconds: float, joules: float) -> None:
        """A quiet interval."""
        self.age_s = 0.0
        self._seconds += seconds
        self._joules += joules
        self._count += 1
        if self._seconds < CHUNK_S or self._count < CHUNK_INTERVALS:
            return
        chunk = _Chunk(self._seconds, self._joules)
        self._seconds, self._joules, self._count = 0.0, 0.0, 0
        if self._moved(chunk):
            self._chunks = deque(list(self._chunks)[1 - SHIFT_CHUNKS :])
        self._chunks.append(chunk)
        while sum(each.seconds for each in self._chunks) - self._chunks[0].seconds >= WINDOW_S:
            self._chunks.popleft()
        if len(self._chunks) >= PUBLISHED_CHUNKS:
            self.idle = self._mean()

    def _moved(self, chunk: _Chunk) -> bool:
        """Whether the last chunks and this one all lie off those before, on the same side."""
        if len(self._chunks) < 2 * SHIFT_CHUNKS or self.idle is None:
            return False
        chunks = list(self._chunks)
        mean, spread = _mean_and_spread(chunks[: 1 - SHIFT_CHUNKS])
        limit = max(2 * spread, SHIFT * mean)
        offs = [each.watts - mean for each in (*chunks[1 - SHIFT_CHUNKS :], chunk)]
        return min(offs) > limit or max(offs) < -limit

    def _mean(self) -> Idle:
        chunks = list(self._chunks)
        mean, spread = _mean_and_spread(chunks)
        few = 1 + 3 / len(chunks)  # a spread of a few is itself uncertain
        return Idle(mean, spread * few / math.sqrt(len(chunks)), "learnt")


def _mean_and_spread(chunks: list[_Chunk]) -> tuple[float, float]:
    mean = sum(each.joules for each in chunks) / sum(each.seconds for each in chunks)
    squares = sum((each.watts - mean) ** 2 for each in chunks)
    return mean, math.sqrt(squares / max(1, len(chunks) - 1))
