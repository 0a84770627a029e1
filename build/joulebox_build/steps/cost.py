"""What an inference costs on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from joulebox.energy import Sources
from joulebox.host import describe_host
from joulebox_build.alone import alone
from joulebox_build.data.dataset import Inputs
from joulebox_build.finished import Model
from joulebox_build.job import Job
from joulebox_build.judge.cost import Cost, energy_sources, measure
from joulebox_build.judge.speed import speedup
from joulebox_build.stage import Artifact, Make
from joulebox_build.steps.artifacts import FIGURES, as_json


class Runs(Protocol):
    """A job of any kind."""

    def run(self, stage: str, inputs: Mapping[str, Any], make: Make, *, of: str = "") -> Artifact: ...


def cost(job: Job, model: Model) -> Cost:
    """Of the first validation sample."""
    return cost_of(job, model, job.data.validation.inputs[:1])


def cost_of(job: Runs, model: Model, sample: Inputs) -> Cost:
    """On this machine; kept like all else, so that a second build shows what the first one measured by the same means."""
    encoded, sources = model.given.encode(sample), energy_sources()
    inputs = {"model": model.digest, "host": describe_host(os.environ).fingerprint, "energy": means_of(sources)}

    def make(_: Path) -> dict[str, bytes]:
        with alone():
            return {FIGURES: as_json(asdict(measure(model.contents, encoded, sources)))}

    return Cost(**job.run("measure", inputs, make, of=model.name).json(FIGURES))


def means_of(sources: Sources) -> list[list[str]]:
    """By what joules are measured: those of other means are not compared with them."""
    devices = [meter.device for meter in sources.meters]
    return [[device.name, device.reader, device.note] for device in devices]


def times_as_fast(job: Job, model: Model, reference: Model) -> float:
    """As the reference, of the first validation sample; see `times_as_fast_of`."""
    return times_as_fast_of(job, model, reference, job.data.validation.inputs[:1])


def times_as_fast_of(job: Runs, model: Model, reference: Model, sample: Inputs) -> float:
    """The model's speed by the reference's on this machine, both in turns: nearer the truth than two medians; kept like all else."""
    encoded = model.given.encode(sample)
    inputs = {"models": [reference.digest, model.digest], "host": describe_host(os.environ).fingerprint}

    def make(_: Path) -> dict[str, bytes]:
        with alone():
            return {FIGURES: as_json(speedup(reference.content, model.content, encoded))}

    return job.run("speedup", inputs, make, of=model.name).json(FIGURES)
