"""One trial: a build of a profile without a look at the test data, and its figures on validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from joulebox_build import pipeline, steps
from joulebox_build.errors import BuildError
from joulebox_build.job import Job
from joulebox_build.recipe import Objective

DIRECTIONS: dict[Objective, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "bytes": "minimize",
    "latency": "minimize",
    "joules": "minimize",
}


@dataclass(frozen=True)
class Figures:
    """Of the int8 student, on validation data and this host; None is what was not asked for."""

    accuracy: float
    bytes: int
    parameters: int
    latency: float | None  # median seconds of an inference
    joules: float | None  # of an inference, above rest
    energy_source: str | None
    missed: Sequence[str]  # limits of the gate, held against validation data

    def value(self, objective: Objective) -> float:
        """
        Raises:
            BuildError: it is not known here.
        """
        found = getattr(self, objective)
        if found is None:
            raise BuildError(f"search.objectives: {objective} could not be measured on this host; leave it out")
        return float(found)


def run(job: Job, objectives: Sequence[Objective]) -> Figures:
    """Makes the models and looks at them; training ends early where `job.on_epoch` raises."""
    made = pipeline.make(job)
    measured = {"latency", "joules"} & set(objectives)
    cost = steps.cost(job, made.int8) if measured else None
    return Figures(
        accuracy=steps.accuracy(job, made.int8, "validation"),
        bytes=made.int8.bytes,
        parameters=made.int8.parameters,
        latency=cost.latency_median_s if cost else None,
        joules=cost.joules_per_inference if cost else None,
        energy_source=cost.energy_source if cost else None,
        missed=[result.limit for result in pipeline.held(job, made, "validation") if not result.passed],
    )
