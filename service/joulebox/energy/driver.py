"""Runs something again and again, in a thread of its own, and says how far it is."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter

from joulebox.energy.phase import Progress

LATENCIES_MAX = 100_000
WARM_UP_S, WARM_UP_RUNS = 0.2, 3


class Latencies:
    """Seconds that runs took: all of them, or of more than are kept every second, every fourth, …"""

    def __init__(self, most: int = LATENCIES_MAX) -> None:
        self._most = most
        self._stride = 1
        self._skipped = 0
        self._kept = array("d")
        self.count = 0
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total_s += seconds
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._kept.append(seconds)
        if len(self._kept) >= self._most:
            self._kept = self._kept[1::2]
            self._stride *= 2

    def quantile(self, fraction: float) -> float:
        """
        Raises:
            IndexError: there was no run.
        """
        ordered = sorted(self._kept)
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


class Driver:
    """A load of one model: nothing else than its runs, one after the other."""

    def __init__(self, run: Callable[[], object], items: int) -> None:
        """Runs it a few times, so that it is warm and its time is known.

        Args:
            run: computes a batch of so many items.
        """
        self.items = items
        self.latencies = Latencies()
        self._run = run
        self._stopped = True
        self._error: BaseException | None = None
        self._at = 0, 0.0
        warm = Latencies()
        self._loop(warm, lambda: warm.count >= WARM_UP_RUNS and warm.total_s >= WARM_UP_S)
        self.run_s = warm.quantile(0.5)

    @contextmanager
    def working(self) -> Generator[Progress]:
        """Runs meanwhile, and gives what says how far it is.

        Raises:
            Exception: what the run raised.
        """
        self._stopped = False
        thread = threading.Thread(target=self._drive, name="joulebox-driver", daemon=True)
        thread.start()
        try:
            yield self._progress
        finally:
            self._stopped = True
            thread.join()
        if self._error is not None:
            raise self._error

    def _progress(self, at_s: float) -> float:
        """Runs by a moment that is about now, the part of the one under way included."""
        done, since_s = self._at
        return done + min(1.0, (at_s - since_s) / self.run_s)

    def _drive(self) -> None:
        try:
            self._loop(self.latencies, lambda: self._stopped)
        except BaseException as error:  # whoever drives has to hear of it
            self._error = error

    def _loop(self, latencies: Latencies, ends: Callable[[], bool]) -> None:
        run, add = self._run, latencies.add
        done, begun_s = 0, perf_counter()
        while not ends():
            self._at = done, begun_s
            run()
            ended_s = perf_counter()
            add(ended_s - begun_s)
            done, begun_s = done + 1, ended_s
