"""The stages of a build, each from a job and earlier artifacts to an artifact."""

from joulebox_build.steps.artifacts import HISTORY
from joulebox_build.steps.baseline import baseline
from joulebox_build.steps.cost import cost
from joulebox_build.steps.judge import answers, duplicates, quality, temperature
from joulebox_build.steps.quantize import Trained, choice, int8
from joulebox_build.steps.student import fp32, student
from joulebox_build.steps.teach import taught, teacher
from joulebox_build.steps.variants import variants

__all__ = [
    "HISTORY",
    "Trained",
    "answers",
    "baseline",
    "choice",
    "cost",
    "duplicates",
    "fp32",
    "int8",
    "quality",
    "student",
    "taught",
    "teacher",
    "temperature",
    "variants",
]
