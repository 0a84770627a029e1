"""The stages of a build, each from a job and earlier artifacts to an artifact."""

from joulebox_build.steps.artifacts import HISTORY
from joulebox_build.steps.baseline import baselines
from joulebox_build.steps.cost import cost, times_as_fast
from joulebox_build.steps.judge import accuracy, answers, beside, duplicates, memory, quality, temperature
from joulebox_build.steps.occlusion import occlusions
from joulebox_build.steps.prune import pruned
from joulebox_build.steps.quantize import Trained, choice, int8
from joulebox_build.steps.student import fp32, student
from joulebox_build.steps.study import Trial, data_efficiency, data_trials, gain, gain_arms
from joulebox_build.steps.teach import all_taught, teacher
from joulebox_build.steps.variants import variants

__all__ = [
    "HISTORY",
    "Trained",
    "Trial",
    "accuracy",
    "all_taught",
    "answers",
    "baselines",
    "beside",
    "choice",
    "cost",
    "data_efficiency",
    "data_trials",
    "duplicates",
    "fp32",
    "gain",
    "gain_arms",
    "int8",
    "memory",
    "occlusions",
    "pruned",
    "quality",
    "student",
    "teacher",
    "temperature",
    "times_as_fast",
    "variants",
]
