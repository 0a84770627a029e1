"""The stages of a build without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joulebox_build.finished import MODEL, Model
from joulebox_build.given.int8 import in_int8
from joulebox_build.given.job import GivenJob
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.judge.cost import Cost
from joulebox_build.progress import bar
from joulebox_build.steps.artifacts import FIGURES, LOGITS, as_json, described, from_npy, npy
from joulebox_build.steps.cost import cost_of, times_as_fast_of
from joulebox_build.train.model import parameters, weights_digest


def fp32(job: GivenJob) -> Model:
    """The model as it was published, as ONNX."""
    network = job.network()
    inputs = {"model": job.digests["model"], "weights": weights_digest(network), "input": described(job.given)}

    def make(_: Path) -> dict[str, bytes]:
        return {MODEL: export(network, job.given), FIGURES: as_json(parameters(network))}

    made = job.run("export", inputs, make)
    return Model("fp32", (made,), made.json(FIGURES), job.given)


def int8(job: GivenJob, reference: Model) -> Model:
    """The same in int8, calibrated on the first of the samples for that."""
    settings = job.profile.quantize
    inputs = {"model": reference.digest, "data": job.digests["calibration"], "settings": settings.model_dump()}

    def make(_: Path) -> dict[str, bytes]:
        samples = job.data.calibration[: settings.samples]
        floats = settings.float_convolutions
        return {MODEL: in_int8(reference.content, samples, job.given, float_convolutions=floats)}

    return Model("int8", (job.run("quantize", inputs, make),), reference.parameters, job.given)


def answers(job: GivenJob, model: Model) -> NDArray[np.float32]:
    """The model's logits `[N, classes]` of the test samples."""

    def make(_: Path) -> dict[str, bytes]:
        with bar(f"{model.name} on test samples", 1) as progress:
            return {LOGITS: npy(mean_outputs(model.contents, job.given.encode, job.data.test, progress))}

    made = job.run("answer", {"model": model.digest, "data": job.digests["test"]}, make, of=model.name)
    return from_npy(made.files[LOGITS])


def times_as_fast(job: GivenJob, reference: Model, candidate: Model) -> float:
    """The candidate, on this machine."""
    return times_as_fast_of(job, candidate, reference, job.data.calibration[:1])


def cost(job: GivenJob, model: Model) -> Cost:
    """Of the first sample to calibrate on."""
    return cost_of(job, model, job.data.calibration[:1])
