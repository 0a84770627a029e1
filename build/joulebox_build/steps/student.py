"""The student: trained, and as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import safetensors.torch
from torch import nn

from joulebox_build.compress.channels import restored
from joulebox_build.finished import MODEL, Model
from joulebox_build.graph.export import export
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.recipe import Distillation
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import (
    CHECKPOINT,
    HISTORY,
    LOGITS,
    PLAN,
    WEIGHTS,
    as_json,
    described,
    from_npy,
)
from joulebox_build.steps.teach import view_of
from joulebox_build.train.distill import View, distillation
from joulebox_build.train.fit import Lesson, as_dicts, fit
from joulebox_build.train.model import parameters, seeded, tuned_layout


def student(job: Job, soft: Sequence[Artifact]) -> Artifact:
    """The distilled student's weights, and how training went; after a killed build it goes on from the last epoch."""
    settings = job.profile.distill
    inputs = {
        "model": job.digests["model"],
        "logits": [artifact.digest for artifact in soft],
        "data": [job.train.digest(), job.digests["validation"]],
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "student": dict(job.profile.student),
        "settings": settings.model_dump(),
    }

    def make(scratch: Path) -> dict[str, bytes]:
        network = seeded(job.student, job.recipe.seed)
        lesson = replace(lesson_of(job, soft, settings), on_epoch=job.on_epoch)
        with bar("student", settings.epochs) as progress:
            history = fit(network, lesson, settings, progress, scratch / CHECKPOINT)
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        return {WEIGHTS: safetensors.torch.save(weights), HISTORY: as_json(as_dicts(history))}

    return job.run("distill", inputs, make)


def lesson_of(job: Job, soft: Sequence[Artifact], settings: Distillation) -> Lesson:
    """What the student learns from: its teacher's logits `soft`, a view each."""
    views = [View(view_of(job, number), from_npy(made.files[LOGITS])) for number, made in enumerate(soft)]
    batch = distillation(views, job.train.labels, settings)
    return Lesson(len(job.train), batch, job.data.validation, job.given.encode, job.recipe.seed)


def network_of(job: Job, trained: Artifact) -> nn.Module:
    """The trained student, without the channels that pruning took out of it."""
    network = restored(job.student, job.given, trained.json(PLAN) if PLAN in trained.files else [])
    network.load_state_dict(safetensors.torch.load(trained.files[WEIGHTS]))
    return tuned_layout(network)


def fp32(job: Job, trained: Artifact) -> Model:
    """The student as ONNX."""
    network = network_of(job, trained)
    inputs = {"model": job.digests["model"], "student": trained.digest, "input": described(job.given)}
    made = job.run("export", inputs, lambda _: {MODEL: export(network, job.given)})
    return Model("student fp32", (made,), parameters(network), job.given)
