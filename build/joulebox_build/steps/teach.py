"""The teacher, and what it says of the student's training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from joulebox_build.data.dataset import Inputs
from joulebox_build.finished import MODEL, Model
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.recipe import Member
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import (
    FIGURES,
    LOGITS,
    as_json,
    described,
    npy,
)
from joulebox_build.train.teacher import teacher_onnx
from joulebox_build.train.views import view


def teacher(job: Job) -> Model:
    """The teacher's members as ONNX."""
    made = [_member(job, member) for member in job.members]
    return Model("teacher", tuple(made), sum(each.json(FIGURES) for each in made), job.teacher_given)


def _member(job: Job, member: Member) -> Artifact:
    inputs = {
        "model": job.digests["model"],
        "file": job.digests[str(member.file)],
        "input": described(job.teacher_given),
    }

    def make(_: Path) -> dict[str, bytes]:
        content, count = teacher_onnx(job.recipe, job.folder, member, job.teacher_given)
        return {MODEL: content, FIGURES: as_json(count)}

    return job.run("teacher", inputs, make, of=str(member.file))


def taught(job: Job, taught_by: Model, number: int) -> Artifact:
    """The teacher's logits of one view, float16. Their key names the teacher as exported, so that changing the student keeps them."""
    inputs = {
        "teacher": taught_by.digest,
        "inputs": job.train.digest(),
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "view": number,
    }

    def make(_: Path) -> dict[str, bytes]:
        with bar(f"teacher's logits, view {number + 1} of {job.profile.distill.views}", 1) as progress:
            found = mean_outputs(taught_by.contents, taught_by.given.encode, view_of(job, number), progress)
        return {LOGITS: npy(found.astype(np.float16))}  # three digits are more than a soft target needs

    return job.run("teach", inputs, make, of=f"view {number + 1}")


def view_of(job: Job, number: int) -> Inputs:
    """One of the fixed augmented views of what the student is trained on."""
    return view(job.train.inputs, number, seed=job.recipe.seed, augment=job.folder.augment)
