"""Post-training quantization: the calibrator, and the layers that stay in float, chosen on validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from joulebox_build.compress.calibrate import Ranges, calibrate
from joulebox_build.compress.exam import Encode, Exam, Score
from joulebox_build.compress.quantize import Form, prepare, write
from joulebox_build.compress.sensitivity import Harm, sensitivity
from joulebox_build.data.dataset import Inputs
from joulebox_build.progress import Progress
from joulebox_build.recipe.quantization import Calibrator, Quantization

ROUNDING = 1e-9  # of differences of accuracies


@dataclass(frozen=True)
class Tried:
    """A calibrator, and the model that is all int8 by its ranges."""

    calibrator: Calibrator
    score: Score


@dataclass(frozen=True)
class QuantizationChoice:
    """What was tried on validation data and what was kept, for the report. Fractions of one, nats."""

    fp32: Score
    calibrators: list[Tried]
    calibrator: Calibrator
    sensitivity: list[Harm]  # of each layer alone, the most harmful first; empty where it was not measured
    float_layers: list[str]
    score: Score  # of what was kept
    drop_max: float | None
    trained: bool = False  # with int8's rounding in the loop

    @property
    def drop(self) -> float:
        """Of validation accuracy against fp32."""
        return self.fp32.accuracy - self.score.accuracy

    @property
    def holds(self) -> bool:
        """Whether the drop is within its limit, where there is one."""
        return self.drop_max is None or self.drop <= self.drop_max + ROUNDING

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "drop": self.drop, "holds": self.holds}


@dataclass(frozen=True)
class Quantized:
    """A model ready to be written in any int8 form: its layers named, the range of each tensor, which layers stay in float."""

    prepared: bytes
    ranges: Ranges
    float_layers: list[str]

    def write(self, form: Form) -> bytes:
        return write(self.prepared, self.ranges, form, floats=self.float_layers)


@dataclass(frozen=True)
class Material:
    """What a choice is made with: training samples to calibrate on, how a model takes them, and the exam."""

    samples: Inputs
    encode: Encode
    exam: Exam


def choose(
    fp32: bytes, layers: Sequence[str] | None, material: Material, settings: Quantization, progress: Progress
) -> tuple[Quantized, QuantizationChoice]:
    """The best calibrator's int8; where that drops too much, with the most harmful layers in float, one after the other.

    Args:
        layers: a name for each node of the fp32 model.
    """
    exam, prepared = material.exam, prepare(fp32, layers)
    found: dict[Calibrator, Ranges] = {
        name: calibrate(prepared, material.samples, material.encode, name, percentile=settings.percentile)
        for name in settings.calibrators
    }
    tried = [Tried(name, exam.score(write(prepared, ranges))) for name, ranges in found.items()]
    best = min(tried, key=lambda each: each.score.rank)
    quantized = Quantized(prepared, found[best.calibrator], [])
    choice = QuantizationChoice(exam.fp32, tried, best.calibrator, [], [], best.score, settings.drop_max)
    if settings.sensitivity or (settings.float_layers_max and not choice.holds):
        few = exam.first(settings.sensitivity_samples)
        choice = replace(choice, sensitivity=sensitivity(prepared, quantized.ranges, few, progress))
        for count in range(1, min(settings.float_layers_max, len(choice.sensitivity)) + 1):
            if choice.holds:
                break
            quantized = replace(quantized, float_layers=[harm.layer for harm in choice.sensitivity[:count]])
            score = exam.score(quantized.write("cpu"))
            choice = replace(choice, float_layers=quantized.float_layers, score=score)
    return quantized, choice
