"""From a published model to a sealed package, with no training: export, quantize, compare, measure, judge."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from joulebox.engine.ladder import LATENCY
from joulebox.host import describe_host
from joulebox.package import Package
from joulebox_build.errors import GateError
from joulebox_build.finished import Model
from joulebox_build.given import gate, steps
from joulebox_build.given.job import GivenJob, open_given
from joulebox_build.given.report import GivenFigures, GivenReport
from joulebox_build.judge.agreement import compare
from joulebox_build.judge.gate import explain, repeatable
from joulebox_build.packing.offer import offer
from joulebox_build.packing.seal import Content, golden_samples, seal
from joulebox_build.provenance import machine
from joulebox_build.recipe import GivenRecipe
from joulebox_build.report.cardparts import readme_of
from joulebox_build.stage import Stages


@dataclass(frozen=True)
class GivenBuilt:
    """A job's two models, and the report on them."""

    job: GivenJob
    fp32: Model
    int8: Model
    report: GivenReport


def build(recipe: GivenRecipe, profile: str, stages: Stages) -> GivenBuilt:
    """Makes, compares and judges the models; writes nothing but the cache.

    Raises:
        BuildError: the recipe, its folder or the data are not what they should be.
    """
    job = open_given(recipe, profile, stages)
    fp32 = steps.fp32(job)
    int8 = steps.int8(job, fp32)
    limits = job.profile.gate
    found = compare(steps.answers(job, fp32), steps.answers(job, int8), sure=limits.sure, groups=job.data.groups)
    speedup = steps.times_as_fast(job, fp32, int8)
    costs = {model.name: steps.cost(job, model) for model in (fp32, int8)}
    report = GivenReport(
        name=recipe.name,
        profile=profile,
        models=tuple(
            GivenFigures(model.name, model.parameters, model.bytes, costs[model.name]) for model in (fp32, int8)
        ),
        agreement=found,
        sure=limits.sure,
        speedup=speedup,
        offer=offer(
            {"cpu-fp32": fp32, "cpu-int8": int8},
            {"cpu-fp32": 1.0, "cpu-int8": speedup},
            costs[fp32.name].latency_median_s,
        ),
        gate=gate.check(limits, found, speedup=speedup, int8_bytes=int8.bytes),
        samples={name: len(inputs) for name, inputs in job.data.inputs().items()},
        machine=machine(),
        host=describe_host(os.environ).facts,
        made_of=job.made_of(),
        readme=readme_of(recipe.file.parent),
    )
    return GivenBuilt(job, fp32, int8, report)


def pack(built: GivenBuilt, out: Path) -> Package:
    """Writes the package and makes it the current one of `out`.

    Raises:
        GateError: a limit is not met, or int8 answers as another model would; nothing is written.
    """
    job, report = built.job, built.report
    if not report.passed:
        raise GateError(explain(report.gate))
    golden = golden_samples(job.data.calibration, job.recipe.golden.samples, seed=job.recipe.seed)
    content = Content(
        labels=job.data.labels,
        variants={"cpu-fp32": built.fp32.content, "cpu-int8": built.int8.content},
        given=job.given,
        golden=job.given.encode(golden),
        temperature=1.0,  # nothing to fit it on: confidence is the published model's own
        gate=repeatable(report.gate),
        made_of=report.made_of,
        evidence={**report.files(), LATENCY: report.offer.latency()},
    )
    return seal(out, job.recipe, content)
