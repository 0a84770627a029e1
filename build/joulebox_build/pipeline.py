"""From recipe to sealed package. The test data are read after the last choice has been made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from joulebox.package import Package
from joulebox_build import gate, steps
from joulebox_build.errors import GateError
from joulebox_build.evaluate import Cost, Quality
from joulebox_build.job import Job, open_job
from joulebox_build.model import parameters
from joulebox_build.recipe import Recipe
from joulebox_build.report import Figures, Report
from joulebox_build.seal import golden_samples, seal
from joulebox_build.stage import Artifact, Stages, machine


@dataclass(frozen=True)
class Made:
    """The models of a build, chosen and trained without the test data."""

    teacher: Artifact
    student: Artifact
    fp32: Artifact
    int8: Artifact
    baseline: Artifact


@dataclass(frozen=True)
class Built:
    """A job's models, and the report on them."""

    job: Job
    made: Made
    report: Report


def build(recipe: Recipe, profile: str, stages: Stages) -> Built:
    """Makes, evaluates and judges the models; writes nothing but the cache."""
    job = open_job(recipe, profile, stages)
    made = make(job)
    return Built(job, made, judge(job, made))


def make(job: Job) -> Made:
    """Every choice: on training and validation data alone."""
    teacher = steps.teacher(job)
    settings = job.profile.distill
    soft = [steps.logits(job, teacher, number) for number in range(min(settings.views, settings.epochs))]
    student = steps.student(job, soft)
    fp32 = steps.fp32(job, student)
    return Made(teacher, student, fp32, steps.int8(job, fp32), steps.baseline(job))


def judge(job: Job, made: Made) -> Report:
    """Reads the test data and holds the figures against the gate."""
    student = parameters(job.folder.student())
    fitted = made.baseline.json(steps.HISTORY)
    teacher = _figures(job, "teacher", made.teacher, parameters(job.folder.teacher()))
    fp32 = _figures(job, "student fp32", made.fp32, student)
    int8 = _figures(job, "student int8", made.int8, student)
    baseline = _figures(job, "baseline", made.baseline, fitted["parameters"])
    candidate = gate.Candidate(
        teacher_accuracy=teacher.quality.accuracy,
        baseline_accuracy=baseline.quality.accuracy,
        fp32_accuracy=fp32.quality.accuracy,
        int8_accuracy=int8.quality.accuracy,
        int8_bytes=int8.bytes,
        parameters=student,
    )
    return Report(
        name=job.recipe.name,
        profile=job.profile_name,
        labels=job.data.labels,
        models=(teacher, fp32, int8, baseline),
        gate=gate.check(job.profile.gate, candidate),
        samples={name: len(split) for name, split in job.data.splits().items()},
        duplicates=steps.duplicates(job).json("duplicates.json"),
        baseline=fitted,
        training=made.student.json(steps.HISTORY),
        machine=machine(),
        made_of=job.made_of(),
    )


def pack(built: Built, out: Path) -> Package:
    """Writes the package.

    Raises:
        GateError: a limit is not met; nothing is written.
    """
    job, made, report = built.job, built.made, built.report
    if not report.passed:
        raise GateError(gate.explain(report.gate))
    validation = job.normalized(job.data.validation)
    return seal(
        out,
        job.recipe,
        job.data.labels,
        {"fp32": made.fp32.files[steps.MODEL], "int8": made.int8.files[steps.MODEL]},
        golden_samples(validation, job.recipe.golden.samples, seed=job.recipe.seed),
        temperature=steps.temperature(job, made.int8),
        gate=report.gate,
        made_of=report.made_of,
        evidence=report.files(),
    )


def _figures(job: Job, name: str, model: Artifact, count: int) -> Figures:
    temperature = steps.temperature(job, model)
    found = steps.evaluation(job, model, temperature)
    return Figures(
        name,
        count,
        len(model.files[steps.MODEL]),
        temperature,
        Quality(**found.json("quality.json")),
        Cost(**found.json("cost.json")),
    )
