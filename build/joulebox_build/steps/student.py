"""The student: trained, and as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
from torch import nn

from joulebox_build.compress.channels import restored
from joulebox_build.data.dataset import Split
from joulebox_build.finished import MODEL, Model
from joulebox_build.graph.export import export_named
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.recipe import Distillation
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import (
    CHECKPOINT,
    HISTORY,
    LAYERS,
    LOGITS,
    PLAN,
    WEIGHTS,
    as_json,
    described,
    from_npy,
)
from joulebox_build.steps.teach import pupils_of, view_of, views_seen
from joulebox_build.train.distill import LazyViews, View, distillation
from joulebox_build.train.fit import Lesson, as_dicts, fit
from joulebox_build.train.hints import hinted, with_hints
from joulebox_build.train.memory import inputs_bytes
from joulebox_build.train.model import parameters, seeded, tuned_layout, weights_digest
from joulebox_build.train.teacher import load_weights


@dataclass(frozen=True)
class Pupil:
    """How one student is trained; that of the profile, or one of a study's, which has a name `of` its own."""

    settings: Distillation
    seed: int
    samples: Split
    of: str = ""


def student(job: Job, soft: Sequence[Artifact]) -> Artifact:
    """The student's weights, and how training went; after a killed build it goes on from the last epoch."""
    settings = job.profile.distill
    return trained(job, soft, Pupil(settings, job.recipe.seed, pupils_of(job, settings)))


def trained(job: Job, soft: Sequence[Artifact], pupil: Pupil) -> Artifact:
    """See `student`; `soft` is empty where there is no teacher."""
    settings = pupil.settings
    inputs = {
        "model": job.digests["model"],
        "starts": weights_digest(seeded(job.student, pupil.seed)),
        "logits": [artifact.digest for artifact in soft],
        "data": [pupil.samples.digest(), job.digests["validation"]],
        "augment": job.digests["data"],
        "seeds": [job.recipe.seed, pupil.seed],
        "student": dict(job.profile.student),
        "settings": settings.decides(),
        "hints from": job.digests[str(job.hinting.file)] if settings.hints else None,
    }

    def make(scratch: Path) -> dict[str, bytes]:
        network = seeded(job.student, pupil.seed)
        whole, lesson = _with_hints(job, network, _lesson(job, soft, pupil), pupil)
        lesson = lesson if pupil.of else replace(lesson, on_epoch=job.on_epoch)
        with bar(f"student{pupil.of and f' ({pupil.of})'}", settings.epochs) as progress:
            history = fit(whole, lesson, settings, progress, scratch / CHECKPOINT)
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        return {WEIGHTS: safetensors.torch.save(weights), HISTORY: as_json(as_dicts(history))}

    return job.run("distill", inputs, make, of=pupil.of)


def lesson_of(job: Job, soft: Sequence[Artifact], settings: Distillation) -> Lesson:
    """What the profile's student learns from: its teacher's logits `soft`, a view each."""
    return _lesson(job, soft, Pupil(settings, job.recipe.seed, pupils_of(job, settings)))


def _lesson(job: Job, soft: Sequence[Artifact], pupil: Pupil) -> Lesson:
    """The views are made as their turns come; the logits are all held."""
    settings, samples = pupil.settings, pupil.samples
    said = [from_npy(made.files[LOGITS]) for made in soft]

    def make(number: int) -> View:
        inputs, mix = view_of(job, samples, number, settings.mixup)
        return View(inputs, said[number] if said else None, mix)

    batch = distillation(LazyViews(len(said) or views_seen(settings), make), samples.labels, settings)
    copies = 3 if settings.mixup else 2  # the samples, the view, and before it is mixed
    held = copies * inputs_bytes(samples.inputs) + sum(each.nbytes for each in said)
    return Lesson(len(samples), batch, job.data.validation, job.given.encode, pupil.seed, held)


def _with_hints(job: Job, network: nn.Module, lesson: Lesson, pupil: Pupil) -> tuple[nn.Module, Lesson]:
    """What to train, which holds the network, and on what."""
    settings = pupil.settings
    if not settings.hints:
        return network, lesson
    teacher = load_weights(job.recipe, job.folder, job.hinting)
    whole, watched = hinted(network, teacher, settings.hints, (job.given, job.teacher_given), pupil.seed)
    batch = with_hints(lesson.batch, whole, (teacher, watched), job.teacher_given.encode, settings.hint_weight)
    weights = sum(value.nbytes for value in teacher.state_dict().values())
    return whole, replace(lesson, batch=batch, data_bytes=lesson.data_bytes + weights)


def network_of(job: Job, trained: Artifact) -> nn.Module:
    """The trained student, without the channels that pruning took out of it."""
    network = restored(job.student, job.given, trained.json(PLAN) if PLAN in trained.files else [])
    network.load_state_dict(safetensors.torch.load(trained.files[WEIGHTS]))
    return tuned_layout(network)


def fp32(job: Job, trained: Artifact) -> Model:
    """The student as ONNX, with the names of its layers."""
    network = network_of(job, trained)

    def make(_: Path) -> dict[str, bytes]:
        content, layers = export_named(network, job.given)
        return {MODEL: content, LAYERS: as_json(layers)}

    inputs = {
        "model": job.digests["model"],
        "options": dict(job.profile.student),
        "student": trained.digest,
        "input": described(job.given),
    }
    return Model("student fp32", (job.run("export", inputs, make),), parameters(network), job.given)
