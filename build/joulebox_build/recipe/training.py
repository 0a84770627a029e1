"""How networks are trained: the teachers, and the student from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from joulebox_build.recipe.section import Fraction, Positive, PositiveFloat, Section


class Training(Section):
    """SGD with Nesterov momentum 0.9 under a one-cycle schedule (Smith 2018, arXiv:1803.09820)."""

    epochs: Positive
    batch: Positive = 256
    learning_rate: PositiveFloat = 0.2  # the schedule's peak
    weight_decay: Annotated[float, Ge(0)] = 5e-4  # not on biases and norms

    def describe(self) -> str:
        """For people."""
        return (
            f"{self.epochs} epochs, batch {self.batch}, one-cycle SGD to {self.learning_rate}, "
            f"weight decay {self.weight_decay}"
        )


class Distillation(Training):
    """Hinton distillation (Hinton et al. 2015, arXiv:1503.02531) from logits cached over fixed augmented views."""

    temperature: PositiveFloat = 4.0
    teacher_weight: Fraction = 0.9  # of the soft loss; the rest is cross-entropy with the labels
    views: Positive = 1  # augmented views of the training data whose teacher logits are cached
    samples: Positive | None = None  # train on the first so many; all where absent
    members: Positive | None = None  # of the teacher: the first so many; all where absent


class Member(Section):
    """One teacher: weights of `teacher()` in model.py, trained from the seed, or a finished ONNX file."""

    weights: Path | None = None
    onnx: Path | None = None
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0

    @model_validator(mode="after")
    def _one_file(self) -> Member:
        if (self.weights is None) == (self.onnx is None):
            raise ValueError("teacher.members: each names either weights (of teacher() in model.py) or an onnx file")
        return self

    @property
    def file(self) -> Path:
        return self.weights or self.onnx or Path()


class Teacher(Section):
    """One or several; the mean of their logits teaches, and is the teacher that the report shows."""

    members: Annotated[list[Member], Field(min_length=1, max_length=16)]
    training: Training | None = None  # of weights
