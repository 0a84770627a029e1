"""From recipe to sealed package. The test data are read after the last choice has been made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulebox.engine.ladder import LATENCY
from joulebox.host import describe_host
from joulebox.package import Package
from joulebox.package.manifest import GateResult
from joulebox_build import steps
from joulebox_build.errors import GateError
from joulebox_build.evidence import evidence
from joulebox_build.finished import Model
from joulebox_build.job import Job, open_job
from joulebox_build.judge import gate
from joulebox_build.packing.offer import Offer, for_cpu, offer
from joulebox_build.packing.seal import Content, golden_samples, seal
from joulebox_build.provenance import machine
from joulebox_build.recipe import Recipe
from joulebox_build.recipe.variants import ALWAYS, VariantName
from joulebox_build.report.rates import rates_of
from joulebox_build.report.report import Figures, Report
from joulebox_build.stage import Stages
from joulebox_build.steps.artifacts import SplitName


@dataclass(frozen=True)
class Made:
    """What a build makes of training and validation data alone.

    `temperatures` are of the softmax, by the model's name. All variants are served with that of int8.
    """

    teacher: Model
    fp32: Model
    int8: Model
    variants: Mapping[VariantName, Model]  # as they are shipped
    baselines: tuple[Model, ...]
    temperatures: Mapping[str, float]
    training: list[dict[str, float]]  # an epoch each
    baseline_fits: tuple[Mapping[str, Any], ...]
    study: tuple[list[Model], list[Model]] | None  # students with and without the teacher
    data_trials: list[steps.Trial]
    shipped_by: frozenset[str]  # the keys of the stages that made the variants


@dataclass(frozen=True)
class Built:
    """A job's models, and the report on them."""

    job: Job
    made: Made
    report: Report


def build(recipe: Recipe, profile: str, stages: Stages) -> Built:
    """Makes, evaluates and judges the models; writes nothing but the cache.

    Raises:
        BuildError: the recipe, its folder or the data are not what they should be.
    """
    rates_of(os.environ)  # a wrong setting is refused before hours of training
    job = open_job(recipe, profile, stages)
    made = make(job)
    return Built(job, made, judge(job, made))


def make(job: Job) -> Made:
    """Every choice, temperatures included."""
    before = len(job.stages.log)
    teacher = steps.teacher(job)
    soft = steps.all_taught(job, teacher)
    student = steps.pruned(job, steps.student(job, soft), soft)
    fp32 = steps.fp32(job, student)
    int8 = steps.int8(job, fp32, steps.Trained(student, soft))
    variants = steps.variants(job, fp32, int8)
    shipped_by = frozenset(artifact.key for artifact in job.stages.log[before:])
    baselines, fits = zip(*steps.baselines(job), strict=True)
    temperatures = {model.name: steps.temperature(job, model) for model in (teacher, int8, *baselines)}
    return Made(
        teacher,
        fp32,
        int8,
        variants,
        baselines,
        temperatures,
        student.json(steps.HISTORY),
        fits,
        steps.gain_arms(job, soft),
        steps.data_trials(job),
        shipped_by,
    )


def held(job: Job, made: Made, split: SplitName) -> list[GateResult]:
    """How the int8 student, and each other form that ships, stands against the gate on a split."""
    int8, cost = _figures(job, made, made.int8, split), steps.cost(job, made.int8)
    best = max(made.baselines, key=lambda model: steps.accuracy(job, model, "validation"))
    candidate = gate.Candidate(
        quality=int8.quality,
        cost=cost,
        memory=int8.memory,
        bytes=int8.bytes,
        parameters=int8.parameters,
        teacher=steps.beside(job, made.teacher, made.int8, split),
        fp32=steps.beside(job, made.fp32, made.int8, split),
        baseline=steps.beside(job, made.int8, best, split),
        baseline_name=best.name,
        forms=[_form(job, made, name, split) for name in made.variants if name != "cpu-int8"],
    )
    return gate.check(job.profile.gate, candidate)


def _form(job: Job, made: Made, name: VariantName, split: SplitName) -> gate.Form:
    model, samples = made.variants[name], len(job.data.splits()[split])
    right = round(steps.accuracy(job, model, split) * samples)
    beside = None if name == "cpu-fp32" else steps.beside(job, made.fp32, model, split)
    return gate.Form(name, right, samples, beside)


def judge(job: Job, made: Made) -> Report:
    """Reads the test data and holds the figures against the gate."""
    others = [model for name, model in made.variants.items() if name not in ALWAYS]
    rows = {
        model.name: _figures(job, made, model, "test")
        for model in (made.teacher, made.fp32, made.int8, *others, *made.baselines)
    }
    int8 = rows[made.int8.name]
    return Report(
        name=job.recipe.name,
        profile=job.profile_name,
        judged=int8.name,
        reference=made.fp32.name,
        offer=_offer(job, made),
        labels=job.data.labels,
        models=tuple(rows.values()),
        gate=held(job, made, "test"),
        evidence=evidence(job, made.int8, int8.quality, int8.temperature, made.shipped_by),
        baselines=[{"name": model.name, **fit} for model, fit in zip(made.baselines, made.baseline_fits, strict=True)],
        training=made.training,
        machine=machine(),
        host=describe_host(os.environ).facts,
        made_of=job.made_of(),
        study=steps.gain(job, made.study),
        data_efficiency=steps.data_efficiency(job, made.data_trials),
    )


def pack(built: Built, out: Path) -> Package:
    """Writes the package and makes it the current one of `out`.

    Raises:
        GateError: a limit is not met, or a variant answers as another model would; nothing is written.
    """
    job, made, report = built.job, built.made, built.report
    if not report.passed:
        raise GateError(gate.explain(report.gate))
    golden = golden_samples(job.data.validation.inputs, job.recipe.golden.samples, seed=job.recipe.seed)
    content = Content(
        labels=job.data.labels,
        variants={name: model.content for name, model in made.variants.items()},
        given=job.given,
        golden=job.given.encode(golden),
        temperature=made.temperatures[made.int8.name],
        gate=gate.repeatable(report.gate),
        made_of=report.made_of,
        evidence={**report.files(), LATENCY: report.offer.latency()},
    )
    return seal(out, job.recipe, content)


def _offer(job: Job, made: Made) -> Offer:
    """The variants as this host orders them, by what those for a CPU take here in turns with fp32."""
    fp32 = made.variants["cpu-fp32"]
    times = {
        name: 1.0 if name == "cpu-fp32" else steps.times_as_fast(job, model, fp32)
        for name, model in made.variants.items()
        if for_cpu(name)
    }
    return offer(made.variants, times, steps.cost(job, fp32).latency_median_s)


def _figures(job: Job, made: Made, model: Model, split: SplitName) -> Figures:
    """On a split, and on this machine; what is made for other hardware has no cost here."""
    temperature = made.temperatures.get(model.name, made.temperatures[made.int8.name])
    quality = steps.quality(job, model, temperature, made.teacher, split)
    elsewhere = any(each is model and not for_cpu(name) for name, each in made.variants.items())
    cost = None if elsewhere else steps.cost(job, model)
    return Figures(model.name, model.parameters, model.bytes, temperature, quality, cost, steps.memory(job, model))
