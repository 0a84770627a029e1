"""How a student becomes int8."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field

from joulebox_build.recipe.section import Fraction, Positive, PositiveFloat, Section
from joulebox_build.recipe.training import Training

Calibrator = Literal["min-max", "entropy", "percentile"]


class QuantizationAwareTraining(Training):
    """A few more epochs of distillation with int8's rounding in the loop; temperature and views are the student's own."""

    learning_rate: PositiveFloat = 0.01  # a tenth of the student's or less: it only has to settle


class Quantization(Section):
    """Static int8 quantization. Every choice is made on validation data."""

    samples: Positive = 1000  # of the training data, to calibrate on
    calibrators: Annotated[tuple[Calibrator, ...], Field(min_length=1)] = (
        "min-max",
    )  # all are tried, the best is kept
    percentile: Annotated[float, Gt(50), Le(100)] = 99.99  # of the activations lie in the range of that calibrator
    drop_max: Fraction | None = None  # of validation accuracy below fp32; where it is more, the next keys help
    float_layers_max: Annotated[int, Ge(0)] = 0  # so many layers, the most harmful ones, may stay in float
    qat: QuantizationAwareTraining | None = None  # where layers in float do not help either
    sensitivity: bool = False  # measure each layer's harm for the report, wherever accuracy lies
    sensitivity_samples: Positive = 1000  # of the validation data, to measure that harm on
