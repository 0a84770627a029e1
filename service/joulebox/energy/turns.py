"""What an item costs, out of turns of rest, work and rest. Pure.

The rests of a turn are its own, one before the work and one after: what drifts steadily cancels out, and turns are independent
of each other, so that their spread says how sure their mean is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from joulebox.energy.confidence import quantile
from joulebox.energy.phase import Outcome, Used
from joulebox.energy.reader import Device

INTERVAL_TURNS = 3  # fewer have no interval
LEFT_MIN = 0.5  # of the turns; where fewer could be measured, nothing is claimed


@dataclass(frozen=True)
class Part:
    """One device in one turn."""

    watts: float
    """While it worked; where `idle_watts` is not known, an estimate's without them."""
    idle_watts: float | None
    """At rest: the mean of before and after, or what an estimate assumes; None where it assumes nothing."""
    runs_per_s: float

    @property
    def dynamic_watts(self) -> float:
        return self.watts - (self.idle_watts or 0.0)


Turn = Sequence[Part]
"""All devices in one turn."""


@dataclass(frozen=True)
class Energy:
    """What an item costs on this host. None is unknown."""

    joules_per_item: float | None
    """Above what the host uses at rest, on all devices."""
    ci95: tuple[float, float] | None
    total_joules_per_item: float | None
    """With what the host uses at rest, at this rate."""
    dynamic_watts: float | None
    idle_watts: float | None
    turns: int
    """Those that could be measured."""
    left_out: int
    why: str | None
    """Why the joules are not known, or turns were left out."""


def part_of(device: Device, before: Outcome | None, work: Outcome, after: Outcome | None) -> Part | str:
    """A device's part in a turn, or why it is not known.

    Args:
        before: at rest; None of a device that needs no rest, since it is a model.
    """
    if not isinstance(work, Used):
        return f"{device.name}: {work}"
    if work.runs <= 0:
        return f"{device.name}: no run was computed in {work.seconds:.2g} s of work"
    if device.kind == "model":
        return Part(work.watts, device.idle_watts, work.runs_per_s)
    if isinstance(before, Used) and isinstance(after, Used):
        return Part(work.watts, (before.watts + after.watts) / 2, work.runs_per_s)
    return f"{device.name}, at rest: {after if isinstance(before, Used) else before}"


def energy_of(turns: Sequence[Turn | str], items: int) -> Energy:
    """The mean over turns, with a 95 % interval by Student's t.

    Args:
        turns: or, of one that has to be left out, why.
        items: that each run computes.
    """
    whole = [turn for turn in turns if not isinstance(turn, str)]
    reasons = Counter(turn for turn in turns if isinstance(turn, str))
    why = "; ".join(f"{reason} ({count} ×)" for reason, count in reasons.most_common(3)) or None
    if not whole or len(whole) < LEFT_MIN * len(turns):
        return Energy(None, None, None, None, None, len(whole), len(turns) - len(whole), why or "nothing was measured")
    joules = [sum(part.dynamic_watts / part.runs_per_s for part in turn) / items for turn in whole]
    mean, error = mean_and_error(joules)
    half = quantile(len(joules)) * error if len(joules) >= INTERVAL_TURNS else None
    idle = [_sum([part.idle_watts for part in turn]) for turn in whole]
    total = [sum(part.watts / part.runs_per_s for part in turn) / items for turn in whole]
    known = None not in idle
    told_apart = mean > 0
    if not told_apart:
        why = "it cannot be told apart from rest" + ("" if half is None else f" ({mean:.2g} ± {half:.2g} J)")
    return Energy(
        joules_per_item=mean if told_apart else None,
        ci95=(max(0.0, mean - half), mean + half) if told_apart and half is not None else None,
        total_joules_per_item=_mean(total) if known else None,
        dynamic_watts=_mean([sum(part.dynamic_watts for part in turn) for turn in whole]),
        idle_watts=_mean([watts for watts in idle if watts is not None]) if known else None,
        turns=len(whole),
        left_out=len(turns) - len(whole),
        why=why,
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; of one value, that is not known, and infinite."""
    mean, count = _mean(values), len(values)
    if count < 2:
        return mean, math.inf
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, math.sqrt(variance / count)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
