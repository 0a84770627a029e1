"""The stages of a build, each from a job and earlier artifacts to an artifact."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray

from joulebox.host import describe_host
from joulebox_build.compress.quantize import quantize
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import outputs
from joulebox_build.job import Job
from joulebox_build.judge.baseline import fit_logistic_regression, to_onnx
from joulebox_build.judge.calibration import fit_temperature
from joulebox_build.judge.cost import Cost, energy_sources, measure
from joulebox_build.judge.quality import Quality, evaluate
from joulebox_build.progress import bar
from joulebox_build.stage import Artifact
from joulebox_build.train.distill import View, distillation
from joulebox_build.train.fit import Lesson, as_json, fit
from joulebox_build.train.model import normalizer, seeded
from joulebox_build.train.teacher import load_teacher
from joulebox_build.train.views import teacher_logits, view

MODEL = "model.onnx"
LOGITS = "logits.npy"
WEIGHTS = "student.safetensors"
HISTORY = "history.json"
CHECKPOINT = "checkpoint.pt"
TEMPERATURE = "temperature.json"
DUPLICATES = "duplicates.json"
FIGURES = "figures.json"


def teacher(job: Job) -> Artifact:
    """The teacher as ONNX."""
    inputs = {"model": job.digests["model"], "weights": job.digests["teacher"], "shape": job.shape}
    return job.run("teacher", inputs, lambda _: {MODEL: export(load_teacher(job.recipe, job.folder), job.shape)})


def logits(job: Job, taught_by: Artifact, number: int) -> Artifact:
    """The teacher's logits of one view. Their key names the teacher as exported, so that changing the student keeps them."""
    inputs = {
        "teacher": taught_by.digest,
        "images": job.train.digest(),
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "view": number,
    }

    def make(_: Path) -> dict[str, bytes]:
        with bar(f"teacher's logits, view {number + 1} of {job.profile.distill.views}", 1) as progress:
            network, normalize = load_teacher(job.recipe, job.folder), normalizer(job.recipe.preprocess)
            return {LOGITS: _npy(teacher_logits(network, _view(job, number), normalize, progress))}

    return job.run("teacher-logits", inputs, make, of=f"view {number + 1}")


def student(job: Job, soft: Sequence[Artifact]) -> Artifact:
    """The distilled student's weights, and how training went; after a killed build it goes on from the last epoch."""
    settings = job.profile.distill
    inputs = {
        "model": job.digests["model"],
        "logits": [artifact.digest for artifact in soft],
        "data": [job.train.digest(), job.digests["validation"]],
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "settings": settings.model_dump(),
    }

    def make(scratch: Path) -> dict[str, bytes]:
        network = seeded(job.folder.student, job.recipe.seed)
        views = [View(_view(job, number), np.load(BytesIO(made.files[LOGITS]))) for number, made in enumerate(soft)]
        lesson = Lesson(
            len(job.train),
            distillation(views, job.train.labels, settings),
            job.data.validation,
            normalizer(job.recipe.preprocess),
            job.recipe.seed,
        )
        with bar("student", settings.epochs) as progress:
            history = fit(network, lesson, settings, progress, scratch / CHECKPOINT)
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        return {WEIGHTS: safetensors.torch.save(weights), HISTORY: _json(as_json(history))}

    return job.run("distill", inputs, make)


def fp32(job: Job, trained: Artifact) -> Artifact:
    """The student as ONNX."""

    def make(_: Path) -> dict[str, bytes]:
        network = job.folder.student()
        network.load_state_dict(safetensors.torch.load(trained.files[WEIGHTS]))
        return {MODEL: export(network, job.shape)}

    return job.run("export", {"model": job.digests["model"], "student": trained.digest, "shape": job.shape}, make)


def int8(job: Job, exported: Artifact) -> Artifact:
    """The student in int8, calibrated on the first of its training data."""
    samples = job.train.first(job.profile.quantize.samples)
    inputs = {"model": exported.digest, "data": samples.digest()}
    return job.run("quantize", inputs, lambda _: {MODEL: quantize(exported.files[MODEL], job.normalized(samples))})


def baseline(job: Job) -> Artifact:
    """The simpler method as ONNX, and how its solver ended."""
    settings = job.profile.baseline
    samples = job.data.train.first(settings.samples)

    def make(_: Path) -> dict[str, bytes]:
        found = fit_logistic_regression(job.normalized(samples), samples.labels, iterations=settings.iterations)
        ended = {"kind": settings.kind, "iterations": found.iterations, "converged": found.converged}
        ended["parameters"] = found.weights.size + found.bias.size
        return {MODEL: to_onnx(found, tuple(job.shape)), HISTORY: _json(ended)}

    return job.run("baseline", {"data": samples.digest(), "settings": settings.model_dump()}, make)


def temperature(job: Job, name: str, model: Artifact) -> float:
    """The softmax temperature that fits the model's confidence to validation data."""
    validation = job.data.validation
    inputs = {"model": model.digest, "data": job.digests["validation"]}

    def make(_: Path) -> dict[str, bytes]:
        found = fit_temperature(outputs(model.files[MODEL], job.normalized(validation)), validation.labels)
        return {TEMPERATURE: _json(found)}

    return job.run("calibrate", inputs, make, of=name).json(TEMPERATURE)


def duplicates(job: Job) -> dict[str, int]:
    """How many images two splits share."""
    inputs = {name: job.digests[name] for name in job.data.splits()}
    return job.run("duplicates", inputs, lambda _: {DUPLICATES: _json(job.data.duplicates())}).json(DUPLICATES)


def quality(job: Job, name: str, model: Artifact, confidence: float) -> Quality:
    """On the test data, which nothing else reads but the count of duplicates."""
    test = job.data.test
    inputs = {"model": model.digest, "data": job.digests["test"], "temperature": confidence}

    def make(_: Path) -> dict[str, bytes]:
        found = evaluate(model.files[MODEL], job.normalized(test), test.labels, temperature=confidence)
        return {FIGURES: _json(asdict(found))}

    return Quality(**job.run("evaluate", inputs, make, of=name).json(FIGURES))


def cost(job: Job, name: str, model: Artifact) -> Cost:
    """On this machine; kept like all else, so that a second build shows what the first one measured by the same means."""
    sample, sources = job.normalized(job.data.validation.first(1)), energy_sources()
    devices = [meter.device for meter in sources.meters]
    inputs = {
        "model": model.digest,
        "host": describe_host(os.environ).fingerprint,
        "energy": [[device.name, device.reader, device.note] for device in devices],
    }

    def make(_: Path) -> dict[str, bytes]:
        return {FIGURES: _json(asdict(measure(model.files[MODEL], sample, sources)))}

    return Cost(**job.run("measure", inputs, make, of=name).json(FIGURES))


def _view(job: Job, number: int) -> NDArray[np.uint8]:
    return view(job.train.images, number, seed=job.recipe.seed, augment=job.folder.augment)


def _npy(array: NDArray[Any]) -> bytes:
    content = BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=False)
    return content.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
