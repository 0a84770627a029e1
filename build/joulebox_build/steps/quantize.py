"""The student in int8."""

from __future__ import annotations

from pathlib import Path

from joulebox_build.compress.quantize import quantize
from joulebox_build.finished import MODEL, Model
from joulebox_build.job import Job


def int8(job: Job, student: Model) -> Model:
    """The student in int8, calibrated on the first of its training data."""
    samples = job.train.first(job.profile.quantize.samples)
    inputs = {"model": student.digest, "data": samples.digest()}

    def make(_: Path) -> dict[str, bytes]:
        return {MODEL: quantize(student.content, job.given.encode(samples.inputs))}

    return Model("student int8", (job.run("quantize", inputs, make),), student.parameters, job.given)
