"""The stages of a build, each from a job and earlier artifacts to an artifact."""

from joulebox_build.steps.artifacts import HISTORY
from joulebox_build.steps.baseline import baseline
from joulebox_build.steps.cost import cost
from joulebox_build.steps.judge import answers, duplicates, quality, temperature
from joulebox_build.steps.quantize import int8
from joulebox_build.steps.student import fp32, student
from joulebox_build.steps.study import Trial, data_efficiency, data_trials, gain, gain_arms
from joulebox_build.steps.teach import all_taught, teacher

__all__ = [
    "HISTORY",
    "Trial",
    "all_taught",
    "answers",
    "baseline",
    "cost",
    "data_efficiency",
    "data_trials",
    "duplicates",
    "fp32",
    "gain",
    "gain_arms",
    "int8",
    "quality",
    "student",
    "teacher",
    "temperature",
]
