"""The student in int8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from joulebox_build.compress.choice import Material, choose
from joulebox_build.compress.exam import open_exam
from joulebox_build.compress.qat import with_rounding, without_rounding
from joulebox_build.finished import MODEL, Model
from joulebox_build.graph.export import export_named
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.recipe.quantization import QuantizationAwareTraining
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import CHECKPOINT, CHOICE, HISTORY, LAYERS, TENSORRT, as_json
from joulebox_build.steps.student import lesson_of, network_of
from joulebox_build.steps.teach import pupils_of
from joulebox_build.train.fit import as_dicts, fit


@dataclass(frozen=True)
class Trained:
    """The student's weights, and its teacher's logits of each view."""

    student: Artifact
    soft: Sequence[Artifact]


def int8(job: Job, fp32: Model, trained: Trained) -> Model:
    """The student in int8. Its file has the CPU's form; beside it lie TensorRT's form and what was chosen.

    Where it misses its limit and the recipe asks for it, the student is trained on, with int8's rounding; then the better
    one of both is kept.
    """
    settings = job.profile.quantize.qat
    static = _static(job, fp32, fp32.files[0])
    if settings is None or choice(static)["holds"]:
        return static
    again = _static(job, fp32, _trained_on(job, trained, settings), of="trained with rounding")
    return min(static, again, key=_rank)


def choice(int8: Model) -> dict[str, Any]:
    """What was tried and kept; see `QuantizationChoice`."""
    return int8.files[0].json(CHOICE)


def _rank(int8: Model) -> tuple[float, float]:
    score = choice(int8)["score"]
    return (-score["accuracy"], score["cross_entropy"])


def _static(job: Job, fp32: Model, exported: Artifact, *, of: str = "") -> Model:
    """What was exported in int8, calibrated on the first of the training data and held against the fp32 student."""
    settings = job.profile.quantize
    samples = job.train.first(settings.samples)
    inputs = {
        "models": [fp32.digest, exported.digest],
        "data": [samples.digest(), job.digests["validation"]],
        "settings": settings.model_dump(exclude={"qat"}),
    }

    def make(_: Path) -> dict[str, bytes]:
        material = Material(
            samples.inputs, job.given.encode, open_exam(fp32.content, job.data.validation, job.given.encode)
        )
        layers = json.loads(exported.files[LAYERS]) if LAYERS in exported.files else None
        with bar("int8, layer by layer", 1) as progress:
            quantized, chosen = choose(exported.files[MODEL], layers, material, settings, progress)
        chosen = replace(chosen, trained=bool(of))
        return {
            MODEL: quantized.write("cpu"),
            TENSORRT: quantized.write("tensorrt"),
            CHOICE: as_json(chosen.as_json()),
        }

    return Model("student int8", (job.run("quantize", inputs, make, of=of),), fp32.parameters, job.given)


def _trained_on(job: Job, trained: Trained, settings: QuantizationAwareTraining) -> Artifact:
    """The student after more epochs under its teacher, with int8's rounding in the loop; as ONNX, in float."""
    tuning = job.profile.distill.model_copy(update=settings.model_dump())
    samples = job.train.first(job.profile.quantize.samples)
    inputs = {
        "model": job.digests["model"],
        "options": dict(job.profile.student),
        "student": trained.student.digest,
        "logits": [artifact.digest for artifact in trained.soft],
        "data": [pupils_of(job, tuning).digest(), samples.digest(), job.digests["validation"]],
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "settings": tuning.decides(),
    }

    def make(scratch: Path) -> dict[str, bytes]:
        rounded = with_rounding(network_of(job, trained.student), job.given.encode(samples.inputs))
        with bar("student with int8's rounding", tuning.epochs) as progress:
            history = fit(rounded, lesson_of(job, trained.soft, tuning), tuning, progress, scratch / CHECKPOINT)
        content, layers = export_named(without_rounding(rounded), job.given)
        return {MODEL: content, LAYERS: as_json(layers), HISTORY: as_json(as_dicts(history))}

    return job.run("qat", inputs, make)
