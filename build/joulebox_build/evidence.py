"""What the report shows of the shipped model beside its figures: how sure it was, how it decides, on what data, at what cost to make."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulebox.energy import Rates
from joulebox_build import steps
from joulebox_build.data.checks import shared_too_many
from joulebox_build.finished import Model
from joulebox_build.job import Job
from joulebox_build.judge.calibration import Bin, reliability
from joulebox_build.judge.occlusion import Occlusion
from joulebox_build.judge.quality import Quality
from joulebox_build.report.cardparts import readme_of
from joulebox_build.report.datacard import data_card
from joulebox_build.report.making import making
from joulebox_build.report.rates import rates_of
from joulebox_build.report.sample import Sample, sample_of
from joulebox_build.steps.artifacts import CHOICE

EXPLAINED_MISTAKES = 4


@dataclass(frozen=True)
class Evidence:
    """`samples` are those of the test data that are named, by their numbers; `readme` is that of the recipe's folder."""

    reliability_as_trained: Sequence[Bin]  # at temperature 1
    occlusions: Sequence[Occlusion]
    data: Mapping[str, Any]  # splits, classes, groups, digests; `train/test` to how many of the second are in the first
    quantization: Mapping[str, Any] | None  # what was tried and kept
    making: Mapping[str, Any]  # stages, their time and energy
    rates: Rates
    samples: Mapping[int, Sample]
    readme: str


def evidence(job: Job, shipped: Model, quality: Quality, temperature: float, made_by: Collection[str]) -> Evidence:
    """Reads the test data: for the report alone.

    Args:
        made_by: the keys of the stages that made what is shipped.

    Raises:
        BuildError: a setting of docs/carbon.md is wrong.
    """
    test, mistakes = job.data.test, [each.sample for each in quality.mistakes]
    occlusions = steps.occlusions(job, shipped, temperature, mistakes[:EXPLAINED_MISTAKES])
    named = sorted({*mistakes, *(each.sample for each in occlusions)})
    choice = shipped.files[0].files.get(CHOICE)
    return Evidence(
        reliability_as_trained=reliability(steps.answers(job, shipped, "test"), test.labels, 1.0),
        occlusions=occlusions,
        data=_data(job),
        quantization=None if choice is None else json.loads(choice),
        making=making(job.stages.log, made_by),
        rates=rates_of(os.environ),
        samples={number: sample_of(test.inputs, number) for number in named},
        readme=readme_of(job.recipe.folder),
    )


def _data(job: Job) -> dict[str, Any]:
    duplicates, samples = steps.duplicates(job), {name: len(split) for name, split in job.data.splits().items()}
    warnings = shared_too_many(duplicates, samples)
    return {**data_card(job.data, job.digests), "duplicates": duplicates, "warnings": warnings}
