"""The stages of a build, each from a job and earlier artifacts to an artifact."""

from joulebox_build.steps.artifacts import HISTORY
from joulebox_build.steps.baseline import baselines
from joulebox_build.steps.cost import cost
from joulebox_build.steps.judge import answers, beside, duplicates, memory, quality, temperature
from joulebox_build.steps.occlusion import occlusions
from joulebox_build.steps.quantize import int8
from joulebox_build.steps.student import fp32, student
from joulebox_build.steps.teach import taught, teacher

__all__ = [
    "HISTORY",
    "answers",
    "baselines",
    "beside",
    "cost",
    "duplicates",
    "fp32",
    "int8",
    "memory",
    "occlusions",
    "quality",
    "student",
    "taught",
    "teacher",
    "temperature",
]
