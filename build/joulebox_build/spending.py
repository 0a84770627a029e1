"""What making something takes of this machine: seconds, and joules with their source."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from joulebox.energy import weakest
from joulebox.energy.reader import Meter, ReadError, Source
from joulebox_build.files import replace_atomically

POLL_S = 0.5  # power samples bridge 2 s, and no counter wraps around in that time
KEEP_S = 5.0  # from one record of what was spent so far to the next: so much a kill can lose


@dataclass
class Spent:
    """None is what is not known. Joules are of all devices that count, with what they use at rest where these say it."""

    seconds: float | None = None
    joules: float | None = None
    source: Source | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def add(self, more: Spent) -> Spent:
        """The sum, of which is known what is known of both; its source is the weaker one."""
        joules = _sum(self.joules, more.joules)
        source = None if joules is None else _weaker((self.source, more.source))
        return Spent(_sum(self.seconds, more.seconds), joules, source)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _weaker(sources: Iterable[Source | None]) -> Source | None:
    found = weakest(source for source in sources if source)
    return None if found == "none" else found


@dataclass
class Spending:
    """Watches the meters while something is made, in a thread; one thing within another counts for both."""

    meters: Sequence[Meter]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def watch(self, record: Path) -> Generator[Spent]:
        """What it gives is filled in at the end: what this took, and what earlier attempts did that were cut off.

        Args:
            record: of what was spent so far, for the attempt after this one. It is replaced every `KEEP_S`, and where this
                ends in an error; a kill loses what was spent since. Where it is missing, as within the first `POLL_S`, or
                damaged, and other files are beside it, what earlier attempts took is unknown, and so is the sum.
        """
        spent, tally = Spent(), _Tally(record, Readings(self.meters, self._lock))
        over = threading.Event()
        thread = threading.Thread(target=tally.follow, args=(over,), name="spending", daemon=True)
        thread.start()
        try:
            yield spent
        except BaseException:
            over.set()
            thread.join()
            tally.keep()
            raise
        over.set()
        thread.join()
        whole = tally.look()
        spent.seconds, spent.joules, spent.source = whole.seconds, whole.joules, whole.source


class _Tally:
    """What was spent on something since its first attempt began."""

    def __init__(self, record: Path, readings: Readings) -> None:
        self._record, self._readings = record, readings
        self._before = _read(record)
        self._began_s = time.monotonic()
        readings.look()

    def look(self) -> Spent:
        self._readings.look()
        now = Spent(time.monotonic() - self._began_s, self._readings.joules, self._readings.source)
        return self._before.add(now)

    def keep(self) -> None:
        """Records it. Where that cannot be written, there is none: an old one would say too little."""
        try:
            content = json.dumps(self.look().as_json())
            replace_atomically(self._record, lambda temporary: temporary.write_text(content, "utf-8"))
        except OSError:
            with suppress(OSError):
                self._record.unlink(missing_ok=True)

    def follow(self, over: threading.Event) -> None:
        kept_s = -math.inf
        while not over.wait(POLL_S):
            if time.monotonic() - kept_s >= KEEP_S:
                self.keep()
                kept_s = time.monotonic()
            else:
                self._readings.look()


def _read(record: Path) -> Spent:
    """What earlier attempts took: nothing where there were none."""
    try:
        return Spent(**json.loads(record.read_text("utf-8")))
    except FileNotFoundError:
        others = record.parent.is_dir() and any(record.parent.iterdir())
        return Spent() if others else Spent(0.0, 0.0)
    except (OSError, ValueError, TypeError):
        return Spent()


class Readings:
    """The first and the last joules of each meter. One that could not be read once makes the sum unknown."""

    def __init__(self, meters: Sequence[Meter], lock: threading.Lock) -> None:
        self._meters = meters
        self._lock = lock
        self._first: list[float] = []
        self._last: list[float] = []
        self.lost = None if meters else "no meter"  # why the sum is unknown

    def look(self) -> None:
        if self.lost:
            return
        try:
            with self._lock:
                self._last = [meter.joules() for meter in self._meters]
        except ReadError as error:
            self.lost = str(error)
        self._first = self._first or self._last

    def follow(self, over: threading.Event) -> None:
        """Looks often enough for each kind of meter."""
        while not over.wait(POLL_S):
            self.look()

    @property
    def joules(self) -> float | None:
        return None if self.lost else sum(self._last) - sum(self._first)

    @property
    def source(self) -> Source | None:
        return None if self.lost else _weaker(meter.device.source for meter in self._meters)
