"""What the student is held against."""

from __future__ import annotations

from typing import Literal

from joulebox_build.recipe.section import Fraction, Positive, Section


class Baseline(Section):
    """The simpler method that the student has to beat."""

    kind: Literal["logistic-regression"] = "logistic-regression"
    samples: Positive | None = None
    iterations: Positive = 100


class Gate(Section):
    """Limits on test figures as fractions of one, and sizes. The baseline has to be beaten always."""

    accuracy_min: Fraction
    teacher_drop_max: Fraction
    quantization_drop_max: Fraction
    bytes_max: Positive
    parameters_max: Positive
