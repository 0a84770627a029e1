"""What models answer, how sure they may be of it, and what that is worth."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from joulebox_build.data.corruption import corrupted
from joulebox_build.finished import Model
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.graph.memory import Memory
from joulebox_build.graph.memory import memory as used
from joulebox_build.job import Job
from joulebox_build.judge.calibration import fit_temperature
from joulebox_build.judge.paired import Paired, paired
from joulebox_build.judge.quality import Asked, Corrupted, Quality, evaluate
from joulebox_build.progress import bar
from joulebox_build.recipe import Corruption
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


def accuracy(job: Job, model: Model, split: SplitName) -> float:
    """The part of a split on which the model is right."""
    return float((answers(job, model, split).argmax(1) == job.data.splits()[split].labels).mean())


def temperature(job: Job, model: Model) -> float:
    """The softmax temperature that fits the model's confidence to validation data."""
    inputs = {"model": model.digest, "data": job.digests["validation"]}
    said = answers(job, model, "validation")

    def make(_: Path) -> dict[str, bytes]:
        return {TEMPERATURE: as_json(fit_temperature(said, job.data.validation.labels))}

    return job.run("calibrate", inputs, make, of=model.name).json(TEMPERATURE)


def quality(job: Job, model: Model, confidence: float, teacher: Model, split: SplitName = "test") -> Quality:
    """On the test data, which no choice is made on; a search looks at validation data."""
    samples_min = job.profile.gate.slice_samples_min
    inputs = {
        "model": model.digest,
        "teacher": teacher.digest,
        "data": job.digests[split],
        "names": list(job.data.labels),
        "temperature": confidence,
        "slice_samples_min": samples_min,
    }
    said, teachers = answers(job, model, split), answers(job, teacher, split)

    def make(_: Path) -> dict[str, bytes]:
        data = job.data.splits()[split]
        asked = Asked(data.labels, job.data.labels, data.slices, teachers)
        found = evaluate(said, asked, temperature=confidence, slice_samples_min=samples_min)
        return {FIGURES: as_json(asdict(found))}

    kept = job.run("evaluate", inputs, make, of=model.name).files[FIGURES]
    found = TypeAdapter(Quality).validate_json(kept)
    return replace(found, corruptions=[_corrupted(job, model, each, split) for each in job.profile.corruptions])


def _corrupted(job: Job, model: Model, corruption: Corruption, split: SplitName) -> Corrupted:
    """On corrupted data."""
    inputs = {
        "model": model.digest,
        "data": job.digests[split],
        "corruption": corruption.model_dump(),
        "seed": job.recipe.seed,
    }
    named = f"{corruption.kind} {corruption.severity}"

    def make(_: Path) -> dict[str, bytes]:
        data = job.data.splits()[split]
        harmed = corrupted(data.inputs, corruption, seed=job.recipe.seed)
        with bar(f"{model.name} on {named}", 1) as progress:
            found = mean_outputs(model.contents, model.given.encode, harmed, progress)
        return {FIGURES: as_json(float((found.argmax(1) == data.labels).mean()))}

    part = job.run("corrupt", inputs, make, of=f"{model.name}, {named}").json(FIGURES)
    return Corrupted(corruption.kind, corruption.severity, part)


def beside(job: Job, first: Model, second: Model, split: SplitName = "test") -> Paired:
    """Two models on the same data."""
    labels = job.data.splits()[split].labels
    one, other = (answers(job, model, split).argmax(1) == labels for model in (first, second))
    return paired(one, other)


def memory(job: Job, model: Model) -> Memory:
    """That an inference of the first validation sample takes."""
    sample = model.given.encode(job.data.validation.inputs[:1])
    inputs = {"model": model.digest, "data": job.digests["validation"]}

    def make(_: Path) -> dict[str, bytes]:
        return {FIGURES: as_json(asdict(used(model.contents, sample)))}

    return Memory(**job.run("memory", inputs, make, of=model.name).json(FIGURES))


def duplicates(job: Job) -> dict[str, int]:
    """How many samples two splits share."""
    inputs = {name: job.digests[name] for name in (*job.data.splits(), "unlabelled") if name in job.digests}
    return job.run("duplicates", inputs, lambda _: {DUPLICATES: as_json(job.data.duplicates())}).json(DUPLICATES)
