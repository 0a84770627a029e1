"""Intervals between observed changes of a counter, out of polls of it. Pure: no clock, no files.

A counter says how much was used until its last update, not until now. An interval therefore runs from one observed change to
the next, however often the counter was asked in between. An update is only known to lie between the last poll that did not
show it and the first that did: the middle between the two is taken for its time, for the work done until then too. What was
done since belongs to the next interval: right on average, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Partial = Literal["starting", "handover"]
"""It begins in the middle of a tick: its seconds are not those of its joules. Another process counted at its beginning, and
what was done between the two is not known."""

Key = tuple[str, str]
"""Model name and version."""

LONGEST_S = 60.0  # between two polls: a counter may have wrapped unseen in more
MOST_WATTS = 20_000.0  # no device that a model is served on uses more: a counter that was reset, and taken for a wrap


@dataclass(frozen=True)
class Work:
    """What a model has done since it was loaded."""

    busy_s: float
    items: int


NONE = Work(0.0, 0)


@dataclass(frozen=True)
class Interval:
    """What a device used, and what ran meanwhile."""

    joules: float
    seconds: float
    busy_s: dict[Key, float]
    """Of the models that ran; it may exceed `seconds` where several workers run one."""
    items: dict[Key, int]
    """Of the models that finished any."""
    loaded: tuple[Key, ...]
    doubt_s: float
    """How far before its end the counter's update may lie."""
    partial: Partial | None
    """Why what ran in it is not all known, so that its joules cannot be split."""
    quiet: bool
    """Nothing ran in it, nor in the one before, with models loaded."""
    tail: bool
    """Nothing ran in it but what is carried over from the one before."""


@dataclass
class Intervals:
    """Turns polls into intervals. What it cannot vouch for is a gap: unknown, and left out."""

    tick_s: float | None = None
    """How often the counter is updated, where that is known."""
    gaps: int = 0
    unknown_s: float = 0.0
    """Length of all gaps, as far as the clock tells."""
    _joules: float | None = None
    _changed_s: float = 0.0
    _polled_s: float = 0.0
    _doubt_s: float = 0.0
    _partial: Partial | None = "starting"
    _ran: bool = True
    _unknown_since_s: float | None = None
    _seen: dict[Key, Work] = field(default_factory=dict[Key, Work])
    _polled_joules: float = 0.0
    _polled: dict[Key, Work] = field(default_factory=dict[Key, Work])
    _carried_s: dict[Key, float] = field(default_factory=dict[Key, float])

    def feed(
        self, at_s: float, joules: float | None, work: Mapping[Key, Work], *, hold: bool = False
    ) -> Interval | None:
        """One poll.

        Args:
            at_s: when, on a clock that does not go back.
            joules: the counter; None where it could not be read, or where nobody knows what happened since the last poll.
            work: each loaded model's work so far.
            hold: the counter was left alone for several ticks, so that a change now does not tell when it was: no interval
                ends before the next one.

        Returns:
            The interval that ends here; None where the counter has not changed, or where there was a gap.
        """
        if joules is None:
            self.gap(at_s)
            return None
        if self._joules is None:
            self._begin(at_s, joules, work)
            return None
        since_s = at_s - self._polled_s
        if not 0 < since_s <= LONGEST_S or joules < self._polled_joules:
            self.gap(at_s)
            self._begin(at_s, joules, work)
            return None
        if joules - self._joules > MOST_WATTS * max(at_s - self._changed_s, self.tick_s or 1.0):
            self.gap(at_s)
            self._begin(at_s, joules, work)
            return None
        if hold or joules == self._polled_joules:
            self._polled_s, self._polled_joules, self._polled = at_s, joules, dict(work)
            return None
        return self._end(at_s, joules, work)

    def hand_over(self) -> None:
        """From here on another process feeds: the interval under way is a whole one, but what ran in it is not all known."""
        self._partial, self._carried_s = "handover", {}

    def gap(self, at_s: float) -> None:
        """Nobody knows what was used since the last change; what was done since then is left out."""
        if self._joules is not None:
            self.gaps += 1
            self._unknown_since_s = min(self._changed_s, at_s)
        self._joules = None
        self._carried_s = {}

    def _begin(self, at_s: float, joules: float, work: Mapping[Key, Work]) -> None:
        if self._unknown_since_s is not None:
            self.unknown_s += max(0.0, at_s - self._unknown_since_s)
        self._unknown_since_s = None
        self._joules = self._polled_joules = joules
        self._changed_s, self._polled_s, self._doubt_s = at_s, at_s, 0.0
        self._partial, self._ran = "starting", True
        self._seen = dict(work)

    def _end(self, at_s: float, joules: float, work: Mapping[Key, Work]) -> Interval:
        length_s = at_s - self._changed_s
        doubt_s = self._doubt(at_s)
        seconds = length_s - doubt_s / 2 + self._doubt_s / 2
        ran = _ran(self._seen, work)
        if self._polled_s > self._changed_s:
            late = {
                key: part * (doubt_s / 2 / (at_s - self._polled_s)) for key, part in _ran(self._polled, work).items()
            }
        else:
            late = {key: part * (doubt_s / 2 / length_s) for key, part in ran.items()} if doubt_s > 0 else {}
        busy_s = {
            key: ran.get(key, 0.0) + self._carried_s.get(key, 0.0) - late.get(key, 0.0) for key in ran | self._carried_s
        }
        items = {key: done.items - self._seen.get(key, NONE).items for key, done in work.items()}
        interval = Interval(
            joules=joules - (self._joules or 0.0),
            seconds=seconds,
            busy_s={key: part for key, part in busy_s.items() if part > 0},
            items={key: count for key, count in items.items() if count > 0},
            loaded=tuple(work),
            doubt_s=doubt_s,
            partial=None if self._partial == "starting" and self._is_short(length_s) else self._partial,
            quiet=bool(work) and not ran and not self._ran,
            tail=not ran,
        )
        self._carried_s = late
        self._ran, self._partial = bool(ran), None
        self._joules = self._polled_joules = joules
        self._changed_s, self._polled_s, self._doubt_s = at_s, at_s, doubt_s
        self._seen = dict(work)
        return interval

    def _is_short(self, length_s: float) -> bool:
        """Whether a tick is, beside so long an interval."""
        return self.tick_s is not None and self.tick_s < 0.02 * length_s

    def _doubt(self, at_s: float) -> float:
        """Where every poll shows a change, the counter's tick alone can tell; it is taken for continuous without one."""
        polled_finer = self._polled_s > self._changed_s
        most_s = at_s - self._polled_s if polled_finer else (self.tick_s or 0.0)
        return min(most_s, at_s - self._changed_s, self.tick_s if self.tick_s is not None else most_s)


def _ran(before: Mapping[Key, Work], after: Mapping[Key, Work]) -> dict[Key, float]:
    """Busy seconds of the models that ran."""
    grown = {key: done.busy_s - before.get(key, NONE).busy_s for key, done in after.items()}
    return {key: busy_s for key, busy_s in grown.items() if busy_s > 0}
