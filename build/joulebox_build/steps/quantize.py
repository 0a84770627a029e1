"""The student in int8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from joulebox_build.compress.choice import Material, choose
from joulebox_build.compress.exam import open_exam
from joulebox_build.finished import MODEL, Model
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.steps.artifacts import CHOICE, LAYERS, TENSORRT, as_json


def int8(job: Job, student: Model) -> Model:
    """The student in int8, calibrated on the first of its training data; every choice is made on validation data.

    Its file has the CPU's form; beside it lie TensorRT's form and what was chosen.
    """
    settings = job.profile.quantize
    samples = job.train.first(settings.samples)
    inputs = {
        "model": student.digest,
        "data": [samples.digest(), job.digests["validation"]],
        "settings": settings.model_dump(exclude={"qat"}),
    }

    def make(_: Path) -> dict[str, bytes]:
        exam = open_exam(student.content, job.data.validation, job.given.encode)
        material = Material(samples.inputs, job.given.encode, exam)
        with bar("int8, layer by layer", 1) as progress:
            quantized, choice = choose(student.content, _layers(student), material, settings, progress)
        return {
            MODEL: quantized.write("cpu"),
            TENSORRT: quantized.write("tensorrt"),
            CHOICE: as_json(choice.as_json()),
        }

    return Model("student int8", (job.run("quantize", inputs, make),), student.parameters, job.given)


def choice(int8: Model) -> dict[str, Any]:
    """What was tried and kept; see `QuantizationChoice`."""
    return json.loads(int8.files[0].files[CHOICE])


def _layers(student: Model) -> list[str] | None:
    """The names of its nodes, where the exporter knew them."""
    files = student.files[0].files
    return json.loads(files[LAYERS]) if LAYERS in files else None
