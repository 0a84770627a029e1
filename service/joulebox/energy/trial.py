"""A trial: what is measured takes turns of rest, work and rest, in random order, so that drift hits all alike."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from joulebox.energy.phase import REAL, Outcome, Progress, Timing, observe, tick_of
from joulebox.energy.reader import Meter
from joulebox.energy.turns import Energy, Turn, energy_of, part_of

TICKS = 10  # of the slowest device, in each phase
RUNS = 3  # in each phase of work
WORK_S = 1.0
REST_PART = 0.5  # of the work, before it and after
SETTLE_S, SETTLE_TICKS = 0.1, 2.0
SETTLE_POWER_S = 1.0  # what says power may say the mean of the last second
TURNS_MIN = 3

Say = Callable[[float], object]
"""Is told that so many seconds have been spent."""


class Subject(Protocol):
    """What is measured; see `Driver`."""

    @property
    def items(self) -> int:
        """That one run computes."""
        ...

    @property
    def run_s(self) -> float:
        """About how long a run takes."""
        ...

    def working(self) -> AbstractContextManager[Progress]:
        """Runs again and again meanwhile."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long all of it takes."""

    turns: int
    """Of each subject."""
    work_s: float
    """In each turn; more where that is not a few runs."""
    rest_s: float
    """Before it, and after; 0 where nothing is measured at rest."""
    settle_s: float
    """Left out of each phase, before it."""

    def turn_s(self, subject: Subject) -> float:
        rests_s = 2 * (self.settle_s + self.rest_s) if self.rest_s else 0.0
        return self.settle_s + self.working_s(subject) + rests_s

    def working_s(self, subject: Subject) -> float:
        return max(self.work_s, RUNS * subject.run_s)


def plan_trial(meters: Sequence[Meter], seconds: float, *, work_s: float = WORK_S) -> Plan:
    """A plan that suits the devices: longer phases where one ticks slowly, and rests only where something is measured.

    Args:
        seconds: of work for each subject, at least, in three turns or more.
        work_s: of it in each turn, where there is so much.
    """
    slowest_s = max((tick_of(meter.device) for meter in meters), default=0.0)
    work_s = max(min(work_s, seconds / TURNS_MIN), TICKS * slowest_s)
    return Plan(
        turns=max(TURNS_MIN, math.ceil(seconds / work_s - 1e-9)),
        work_s=work_s,
        rest_s=max(REST_PART * work_s, TICKS * slowest_s) if resting(meters) else 0.0,
        settle_s=settling_s(meters),
    )


def resting(meters: Sequence[Meter]) -> list[Meter]:
    """Those that are measured at rest too: what an estimate says of rest, it assumes."""
    return [meter for meter in meters if meter.device.kind != "model"]


def settling_s(meters: Sequence[Meter]) -> float:
    """How long what devices say takes to follow."""
    followed = [max(SETTLE_S, SETTLE_TICKS * tick_of(meter.device)) for meter in resting(meters)]
    averaged = [SETTLE_POWER_S for meter in meters if meter.device.kind == "power"]
    return max([*followed, *averaged], default=0.0)


def run_trial(  # noqa: PLR0913
    meters: Sequence[Meter],
    subjects: Sequence[Subject],
    plan: Plan,
    *,
    seed: int = 0,
    timing: Timing = REAL,
    say: Say = lambda _: None,
) -> list[Energy]:
    """What an item of each subject costs, above what the devices use at rest.

    Args:
        meters: no two of which overlap; none, where energy is not known.
        seed: of the order.

    Raises:
        Exception: what a subject's run raised.
    """
    order = random.Random(seed)  # noqa: S311  # no secret
    turns: list[list[Turn | str]] = [[] for _ in subjects]
    for _ in range(plan.turns):
        for number in order.sample(range(len(subjects)), len(subjects)):
            turn = _turn(meters, subjects[number], plan, timing)
            if meters:
                turns[number].append(turn)
            say(plan.turn_s(subjects[number]))
    return [energy_of(taken, subject.items) for taken, subject in zip(turns, subjects, strict=True)]


def _turn(meters: Sequence[Meter], subject: Subject, plan: Plan, timing: Timing) -> Turn | str:
    """Or, where a device's part is not known, why."""
    at_rest, working_s = resting(meters), plan.working_s(subject)

    def rest() -> dict[str, Outcome]:
        outcomes = observe(at_rest, plan.rest_s, plan.settle_s, timing) if at_rest else []
        return {meter.device.name: outcome for meter, outcome in zip(at_rest, outcomes, strict=True)}

    before = rest()
    failed = [f"{name}, at rest: {outcome}" for name, outcome in before.items() if isinstance(outcome, str)]
    with subject.working() as progress:  # what failed at rest is not waited for again, but the work is still timed
        work = observe([] if failed else meters, working_s, plan.settle_s, timing, progress)
    if failed:
        return "; ".join(failed)
    after = rest()
    devices = [meter.device for meter in meters]
    parts = [
        part_of(device, before.get(device.name), outcome, after.get(device.name))
        for device, outcome in zip(devices, work, strict=True)
    ]
    reasons = [part for part in parts if isinstance(part, str)]
    return "; ".join(reasons) if reasons else [part for part in parts if not isinstance(part, str)]
