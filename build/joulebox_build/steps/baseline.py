"""The simpler method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joulebox_build.finished import MODEL, Model
from joulebox_build.job import Job
from joulebox_build.judge.baseline import fit_logistic_regression, to_onnx
from joulebox_build.steps.artifacts import (
    HISTORY,
    as_json,
)


def baseline(job: Job) -> tuple[Model, dict[str, Any]]:
    """The simpler method as ONNX, and how its solver ended."""
    settings = job.profile.baseline
    samples = job.data.train.first(settings.samples)

    def make(_: Path) -> dict[str, bytes]:
        encoded = job.given.encode(samples.inputs)
        found = fit_logistic_regression(encoded, samples.labels, iterations=settings.iterations)
        ended = {"kind": settings.kind, "iterations": found.iterations, "converged": found.converged}
        ended["parameters"] = found.weights.size + found.bias.size
        return {MODEL: to_onnx(found, job.given), HISTORY: as_json(ended)}

    made = job.run("baseline", {"data": samples.digest(), "settings": settings.model_dump()}, make)
    ended = made.json(HISTORY)
    return Model("baseline", (made,), ended["parameters"], job.given), ended
