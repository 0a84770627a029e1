"""When requests are due in an open loop, and a clock that wakes the event loop at those moments.

An event loop's own timers are whole milliseconds (epoll's); the answers measured here take less. `timerfd` has nanoseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

import numpy as np

Arrivals = Literal["poisson", "uniform"]
CHUNK = 1024
CLOCK_MONOTONIC = 1  # the clock of time.perf_counter on Linux
TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME = os.O_NONBLOCK, os.O_CLOEXEC, 1


def arrivals(kind: Arrivals, rate: float, begin_s: float, seed: int) -> Iterator[float]:
    """Moments in seconds from `begin_s` on, without end: `rate` a second, evenly or with exponential gaps between them."""
    generator = np.random.default_rng(seed)
    last_s = begin_s
    while True:
        gaps = generator.exponential(1 / rate, CHUNK) if kind == "poisson" else np.full(CHUNK, 1 / rate)
        moments = last_s + np.cumsum(gaps)
        yield from moments.tolist()
        last_s = float(moments[-1])


class Alarm:
    """Calls back at a moment of `time.perf_counter`, to some ten microseconds."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._file, self._ring)

    def set(self, moment_s: float) -> None:
        """Rings once then, or at once where that is past; an earlier setting no longer counts."""
        seconds, rest = divmod(max(1, int(moment_s * 1e9)), 10**9)
        setting = (ctypes.c_long * 4)(0, 0, seconds, rest)  # struct itimerspec: no interval, this value
        self._libc.timerfd_settime(self._file, TFD_TIMER_ABSTIME, setting, None)

    def close(self) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._file, 8)
        self._callback()
