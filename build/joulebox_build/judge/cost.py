"""What an inference costs on this machine: seconds, and joules with their source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from joulebox.energy import Sources, open_sources, weakest, with_ticks
from joulebox.energy.driver import Driver
from joulebox.energy.trial import plan_trial, run_trial
from joulebox_build.errors import BuildError
from joulebox_build.graph.inference import run, session

TURNS = 4
WORK_S = 0.35  # in each turn; more where a device ticks slowly
LIMIT_S = 30.0  # for a model; `joulebox measure` takes the time that slower devices need


@dataclass(frozen=True)
class Cost:
    """Figures of this machine: of one inference at a time, on one thread of ONNX Runtime's CPU provider."""

    latency_median_s: float
    latency_p99_s: float
    joules_per_inference: float | None  # above what the machine uses at rest
    ci95: Sequence[float] | None
    total_joules_per_inference: float | None  # with what it uses at rest, at this rate
    idle_watts: float | None
    turns: int  # of rest, work and rest
    turns_left_out: int
    energy_source: str  # measured, integrated, estimated, or none where nothing says joules
    energy_note: str  # where they come from, or why they are not known
    devices: Sequence[str]


def energy_sources() -> Sources:
    """What says joules on this machine.

    Raises:
        BuildError: a setting is wrong.
    """
    try:
        return open_sources(os.environ)
    except ValueError as error:
        raise BuildError(str(error)) from error


def measure(models: Sequence[bytes], sample: NDArray[Any], sources: Sources) -> Cost:
    """Runs the sample `[1, ...]` through all of the models again and again, in turns of rest, work and rest."""
    sources = with_ticks(sources)
    ready = [session(model, threads=1) for model in models]
    driver = Driver(lambda: [run(one, sample) for one in ready], items=1)
    meters, note = sources.meters, "; ".join(f"{meter.device.name}: {meter.device.note}" for meter in sources.meters)
    plan = plan_trial(meters, TURNS * WORK_S, work_s=WORK_S)
    if meters and plan.turns * plan.turn_s(driver) > LIMIT_S:
        note = (
            f"{', '.join(meter.device.name for meter in meters)} would take over {LIMIT_S:.0f} s to tell, of a model that takes "
            f"{driver.run_s:.2g} s, which is too long for a build: `joulebox measure` tells"
        )
        meters, plan = (), plan_trial((), TURNS * WORK_S, work_s=WORK_S)
    elif not meters:
        note = "; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable)
    (energy,) = run_trial(meters, [driver], plan)
    return Cost(
        latency_median_s=driver.latencies.quantile(0.5),
        latency_p99_s=driver.latencies.quantile(0.99),
        joules_per_inference=energy.joules_per_item,
        ci95=energy.ci95,
        total_joules_per_inference=energy.total_joules_per_item,
        idle_watts=energy.idle_watts,
        turns=energy.turns,
        turns_left_out=energy.left_out,
        energy_source=weakest(meter.device.source for meter in meters),
        energy_note=f"{note}; {energy.why}" if meters and energy.why else note,
        devices=[meter.device.name for meter in meters],
    )
