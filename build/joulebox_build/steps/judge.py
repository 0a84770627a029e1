"""What models answer, how sure they may be of it, and what that is worth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joulebox_build.finished import Model
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.job import Job
from joulebox_build.judge.calibration import fit_temperature
from joulebox_build.judge.quality import Quality, evaluate
from joulebox_build.progress import bar
from joulebox_build.steps.artifacts import (
    DUPLICATES,
    FIGURES,
    LOGITS,
    TEMPERATURE,
    SplitName,
    as_json,
    from_npy,
    npy,
)


def answers(job: Job, model: Model, split: SplitName) -> NDArray[np.float32]:
    """The model's logits `[N, classes]` of a split. Those of the test data are for the report and the gate alone."""
    inputs = {"model": model.digest, "data": job.digests[split]}

    def make(_: Path) -> dict[str, bytes]:
        with bar(f"{model.name} on {split} data", 1) as progress:
            found = mean_outputs(model.contents, model.given.encode, job.data.splits()[split].inputs, progress)
        return {LOGITS: npy(found)}

    made = job.run("answer", inputs, make, of=f"{model.name}, {split}")
    return from_npy(made.files[LOGITS])


def temperature(job: Job, model: Model) -> float:
    """The softmax temperature that fits the model's confidence to validation data."""
    inputs = {"model": model.digest, "data": job.digests["validation"]}

    def make(_: Path) -> dict[str, bytes]:
        return {TEMPERATURE: as_json(fit_temperature(answers(job, model, "validation"), job.data.validation.labels))}

    return job.run("calibrate", inputs, make, of=model.name).json(TEMPERATURE)


def quality(job: Job, model: Model, confidence: float) -> Quality:
    """On the test data, which nothing else reads but the count of duplicates."""
    inputs = {"model": model.digest, "data": job.digests["test"], "temperature": confidence}

    def make(_: Path) -> dict[str, bytes]:
        found = evaluate(answers(job, model, "test"), job.data.test.labels, temperature=confidence)
        return {FIGURES: as_json(asdict(found))}

    return Quality(**job.run("evaluate", inputs, make, of=model.name).json(FIGURES))


def duplicates(job: Job) -> dict[str, int]:
    """How many samples two splits share."""
    inputs = {name: job.digests[name] for name in (*job.data.splits(), "unlabelled") if name in job.digests}
    return job.run("duplicates", inputs, lambda _: {DUPLICATES: as_json(job.data.duplicates())}).json(DUPLICATES)
