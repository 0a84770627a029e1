"""How a student becomes int8."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field, model_validator

from joulebox_build.recipe.section import Fraction, Positive, PositiveFloat, Section

Calibrator = Literal["min-max", "entropy", "percentile"]


class QuantizationAwareTraining(Section):
    """A few more epochs of the student's distillation with int8's rounding in the loop; all else is as it was, but without hints."""

    epochs: Positive
    """How many more."""
    learning_rate: PositiveFloat = 0.01
    """The schedule's peak; a tenth of the student's or less, as it only has to settle."""


class Quantization(Section):
    """Static int8 quantization. Every choice is made on validation data."""

    samples: Positive = 1000
    """Of the training data, to calibrate on."""
    calibrators: Annotated[tuple[Calibrator, ...], Field(min_length=1)] = ("min-max",)
    """All are tried, the best is kept."""
    percentile: Annotated[float, Gt(50), Le(100)] = 99.99
    """Of the activations, which lie in the range of that calibrator."""
    drop_max: Fraction | None = None
    """Of validation accuracy below fp32; where it is more, `float_layers_max` and `qat` help."""
    float_layers_max: Annotated[int, Ge(0)] = 0
    """So many layers, the most harmful ones, may stay in float."""
    qat: QuantizationAwareTraining | None = None
    """Training with int8's rounding, where layers in float do not help either."""
    sensitivity: bool = False
    """Measure each layer's harm for the report, wherever accuracy lies."""
    sensitivity_samples: Positive = 1000
    """Of the validation data, to measure that harm on."""

    @model_validator(mode="after")
    def _limited(self) -> Quantization:
        if self.drop_max is None and (self.float_layers_max or self.qat):
            raise ValueError("quantize: float_layers_max and qat help where drop_max is missed; set drop_max")
        return self
