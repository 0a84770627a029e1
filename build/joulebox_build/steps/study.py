"""What a build finds out beside the model: students with and without the teacher, and on parts of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulebox_build.data.dataset import Split
from joulebox_build.finished import Model
from joulebox_build.job import Job
from joulebox_build.judge.study import Arm, DataPoint, Study, study
from joulebox_build.recipe import DataEfficiency, GainStudy
from joulebox_build.stage import Artifact
from joulebox_build.steps.judge import accuracy
from joulebox_build.steps.student import Pupil, fp32, trained
from joulebox_build.steps.teach import pupils_of, views_seen
from joulebox_build.train.fit import batch_sizes

SUBSET = 2  # draws parts of the data from numbers of their own


@dataclass(frozen=True)
class Trial:
    """A trained student, and on how much of the data."""

    model: Model
    fraction: float
    samples: int


def gain_arms(job: Job, soft: Sequence[Artifact]) -> tuple[list[Model], list[Model]] | None:
    """Students with and without the teacher, a seed each; None where the profile asks for no study of it."""
    plan = job.profile.study
    if plan is None:
        return None
    settings = job.profile.distill.model_copy(update={"epochs": plan.epochs})
    views = min(views_seen(settings), views_seen(job.profile.distill))  # of which the teacher was asked
    apart = settings.without_teacher().model_copy(update={"views": views})
    taught: list[Model] = []
    alone: list[Model] = []
    for seed in _seeds(job, plan):
        pupil = Pupil(settings, seed, pupils_of(job, settings), f"with the teacher, seed {seed}")
        taught.append(_model(job, soft[:views], pupil))
        pupil = Pupil(apart, seed, job.train, f"without a teacher, seed {seed}")
        alone.append(_model(job, (), pupil))
    return taught, alone


def gain(job: Job, arms: tuple[list[Model], list[Model]] | None) -> Study | None:
    """Reads the test data: for the report alone."""
    plan = job.profile.study
    if plan is None or arms is None:
        return None
    taught, alone = arms
    return study(
        _seeds(job, plan), plan.epochs, _arm(job, job.profile.distill.method, taught), _arm(job, "none", alone)
    )


def data_trials(job: Job) -> list[Trial]:
    """Students of parts of the labelled data, the smaller within the larger; none where the profile asks for none."""
    plan = job.profile.data_efficiency
    return [] if plan is None else [_trial(job, plan, fraction) for fraction in plan.fractions]


def data_efficiency(job: Job, trials: Sequence[Trial]) -> list[DataPoint]:
    """Reads the test data: for the report alone."""
    return [
        DataPoint(
            trial.fraction,
            trial.samples,
            accuracy(job, trial.model, "validation"),
            accuracy(job, trial.model, "test"),
        )
        for trial in trials
    ]


def _seeds(job: Job, plan: GainStudy) -> range:
    return range(job.recipe.seed, job.recipe.seed + plan.seeds)


def _trial(job: Job, plan: DataEfficiency, fraction: float) -> Trial:
    part = _part(job, fraction)
    batch = job.profile.distill.batch
    epochs = max(1, round(plan.epochs * len(batch_sizes(len(job.train), batch)) / len(batch_sizes(len(part), batch))))
    seen = {"epochs": epochs, "views": min(job.profile.distill.views, epochs)}  # a study may have trained the same
    settings = job.profile.distill.without_teacher().model_copy(update=seen)
    pupil = Pupil(settings, job.recipe.seed, part, f"on {fraction:.0%} of the data")
    return Trial(_model(job, (), pupil), fraction, len(part))


def _model(job: Job, soft: Sequence[Artifact], pupil: Pupil) -> Model:
    return replace(fp32(job, trained(job, soft, pupil)), name=f"student {pupil.of}")


def _part(job: Job, fraction: float) -> Split:
    order = np.random.default_rng([job.recipe.seed, SUBSET]).permutation(len(job.train))
    return job.train.take(np.sort(order[: max(1, round(fraction * len(order)))]))


def _arm(job: Job, method: str, models: Sequence[Model]) -> Arm:
    validation, test = ([accuracy(job, model, split) for model in models] for split in ("validation", "test"))
    return Arm(method, validation, test)
