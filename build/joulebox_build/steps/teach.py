"""The teacher, and what it says of the student's training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.dataset import Inputs, Split
from joulebox_build.errors import RecipeError
from joulebox_build.finished import MODEL, Model
from joulebox_build.graph.inference import mean_outputs
from joulebox_build.job import Job
from joulebox_build.progress import bar
from joulebox_build.provenance import tokenizers
from joulebox_build.recipe import Distillation, Member
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import (
    FIGURES,
    LOGITS,
    as_json,
    described,
    npy,
)
from joulebox_build.train.targets import UNLABELLED
from joulebox_build.train.teacher import teacher_onnx
from joulebox_build.train.views import Mix, draw_mix, view


def teacher(job: Job) -> Model:
    """The teacher's members as ONNX."""
    made = [_member(job, member) for member in job.members]
    own = job.folder.teacher_encode is not None
    encoder = sha256(canonical([job.digests["model"], tokenizers()])) if own else ""
    return Model("teacher", tuple(made), sum(each.json(FIGURES) for each in made), job.teacher_given, encoder)


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


def all_taught(job: Job, taught_by: Model) -> list[Artifact]:
    """The teacher's logits of each view that the student will see; none where it learns without a teacher."""
    settings = job.profile.distill
    if settings.method == "none":
        return []
    return [taught(job, taught_by, number) for number in range(views_seen(settings))]


def views_seen(settings: Distillation) -> int:
    return min(settings.views, settings.epochs)


def taught(job: Job, taught_by: Model, number: int) -> Artifact:
    """The teacher's logits of one view, float16. Their key names the teacher as exported, so that changing the student keeps them."""
    settings = job.profile.distill
    pupils = pupils_of(job, settings)
    inputs = {
        "teacher": taught_by.digest,
        "inputs": pupils.digest(),
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "view": number,
        "mixup": settings.mixup,
    }

    def make(_: Path) -> dict[str, bytes]:
        seen, _mix = view_of(job, pupils, number, settings.mixup)
        with bar(f"teacher's logits, view {number + 1} of {settings.views}", 1) as progress:
            found = mean_outputs(taught_by.contents, taught_by.given.encode, seen, progress)
        with np.errstate(over="ignore"):  # it is said below
            kept = found.astype(np.float16)  # three digits are more than a soft target needs
        _check_finite(kept)
        return {LOGITS: npy(kept)}

    return job.run("teach", inputs, make, of=f"view {number + 1}")


def _check_finite(logits: NDArray[np.float16]) -> None:
    wrong = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(wrong):
        raise RecipeError(
            f"teacher: its logits of training sample {wrong[0]} are {logits[wrong[0]].tolist()}, and {len(wrong)} of {len(logits)} "
            f"samples are like that; expected finite numbers, within {np.finfo(np.float16).max}"
        )


def pupils_of(job: Job, settings: Distillation) -> Split:
    """What the student is trained on: the labelled samples, and with label -1 the unlabelled ones where they are asked for.

    Raises:
        RecipeError: they are asked for, and the data have none.
    """
    if not settings.unlabelled:
        return job.train
    more = job.data.unlabelled
    if more is None:
        raise RecipeError("distill.unlabelled: true; load() in data.py gives a Dataset without unlabelled inputs")
    labels = np.concatenate([job.train.labels, np.full(len(more), UNLABELLED)])
    return Split(np.concatenate([job.train.inputs, more]), labels)


def view_of(job: Job, pupils: Split, number: int, mixup: float) -> tuple[Inputs, Mix | None]:
    """One of the fixed augmented views of what the student is trained on, and how it was mixed."""
    seed = job.recipe.seed
    mix = draw_mix(pupils.inputs, number, seed=seed, mixup=mixup)
    return view(pupils.inputs, number, seed=seed, augment=job.folder.augment, mix=mix), mix
