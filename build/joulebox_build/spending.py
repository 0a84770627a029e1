"""What making something takes of this machine: seconds, and joules with their source."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from joulebox.energy import weakest
from joulebox.energy.reader import Meter, ReadError

POLL_S = 0.5  # power samples bridge 2 s, and no counter wraps around in that time


@dataclass
class Spent:
    """Joules are of all devices that count, with what they use at rest where these say it; None where they are not known."""

    seconds: float = 0.0
    joules: float | None = None
    source: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Spending:
    """Watches the meters while something is made, in a thread; one thing within another counts for both."""

    meters: Sequence[Meter]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def watch(self) -> Generator[Spent]:
        """What it gives is filled in at the end."""
        spent, readings = Spent(), _Readings(self.meters, self._lock)
        over = threading.Event()
        thread = threading.Thread(target=readings.follow, args=(over,), name="spending", daemon=True)
        readings.look()
        started = time.monotonic()
        thread.start()
        try:
            yield spent
        finally:
            over.set()
            thread.join()
            readings.look()
            spent.seconds, spent.joules = time.monotonic() - started, readings.joules
            spent.source = None if spent.joules is None else weakest(meter.device.source for meter in self.meters)


class _Readings:
    """The first and the last joules of each meter. One that could not be read once makes the sum unknown."""

    def __init__(self, meters: Sequence[Meter], lock: threading.Lock) -> None:
        self._meters = meters
        self._lock = lock
        self._first: list[float] = []
        self._last: list[float] = []
        self._lost = not meters

    def look(self) -> None:
        if self._lost:
            return
        try:
            with self._lock:
                self._last = [meter.joules() for meter in self._meters]
        except ReadError:
            self._lost = True
        self._first = self._first or self._last

    def follow(self, over: threading.Event) -> None:
        while not over.wait(POLL_S):
            self.look()

    @property
    def joules(self) -> float | None:
        return None if self._lost else sum(self._last) - sum(self._first)
