"""The forms in which the student is shipped, by the names that the recipe asks for."""

from __future__ import annotations

from pathlib import Path

from joulebox_build.compress.halves import in_fp16
from joulebox_build.compress.weights import with_small_weights
from joulebox_build.finished import MODEL, Model
from joulebox_build.job import Job
from joulebox_build.recipe.variants import VariantName
from joulebox_build.steps.artifacts import TENSORRT


def variants(job: Job, fp32: Model, int8: Model) -> dict[VariantName, Model]:
    """Each by its name."""
    return {name: _variant(job, name, fp32, int8) for name in job.profile.variants}


def _variant(job: Job, name: VariantName, fp32: Model, int8: Model) -> Model:
    if name == "cpu-int8":
        return int8
    if name == "cpu-fp32":
        return fp32

    def make(_: Path) -> dict[str, bytes]:
        if name == "trt-int8":
            return {MODEL: int8.files[0].files[TENSORRT]}
        if name == "gpu-fp16":
            return {MODEL: in_fp16(fp32.content)}
        return {MODEL: with_small_weights(fp32.content, 8 if name == "cpu-weights-int8" else 4)}

    made = job.run("variant", {"models": [fp32.digest, int8.digest], "name": name}, make, of=name)
    return Model(f"student {name}", (made,), fp32.parameters, job.given)
