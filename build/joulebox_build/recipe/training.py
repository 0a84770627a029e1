"""How networks are trained: the teachers, and the student from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from joulebox_build.recipe.section import Fraction, Positive, PositiveFloat, Section


class Training(Section):
    """SGD with Nesterov momentum 0.9 under a one-cycle schedule (Smith 2018, arXiv:1803.09820), or AdamW.

    AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) warms up over a tenth of the steps and follows a cosine to zero.
    """

    epochs: Positive
    """How many, at most."""
    batch: Positive = 256
    """Samples for a step."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """`adamw` for transformers and embeddings."""
    learning_rate: PositiveFloat = 0.2
    """The schedule's peak; `adamw` has no default."""
    weight_decay: Annotated[float, Ge(0)] = 5e-4
    """Not on biases and norms."""
    patience: Positive | None = None
    """Stop after so many epochs without a better validation accuracy, and keep the best epoch."""
    average: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay, a step, of a moving average of the weights, which is what is kept; 0: none."""
    memory_mib: Positive | None = None
    """Refuse to train where it would hold more, beside the libraries."""

    def decides(self) -> dict[str, Any]:
        """All that changes what is learnt."""
        return self.model_dump(exclude={"memory_mib"})

    @model_validator(mode="after")
    def _rate_fits_optimizer(self) -> Training:
        if self.optimizer == "adamw" and "learning_rate" not in self.model_fields_set:
            raise ValueError("learning_rate: missing; the default is for sgd, adamw takes about 0.001")
        return self

    def describe(self) -> str:
        """For people."""
        how = "one-cycle SGD" if self.optimizer == "sgd" else "AdamW, warmed up and cosine,"
        return (
            f"{self.epochs} epochs{f' at most (patience {self.patience})' if self.patience else ''}, batch {self.batch}, "
            f"{how} to {self.learning_rate}, weight decay {self.weight_decay}"
            f"{f', weights averaged with decay {self.average}' if self.average else ''}"
        )


class Hint(Section):
    """Two modules, by their names in `named_modules()`: the student's learns to say what the teacher's does."""

    teacher: Annotated[str, Field(min_length=1)]
    """Of `teacher()`."""
    student: Annotated[str, Field(min_length=1)]
    """Of `student()`."""


class Distillation(Training):
    """How the teacher's logits, cached over fixed augmented views, teach beside the labels.

    `hinton`: Hinton et al. 2015, arXiv:1503.02531. `decoupled`: Zhao et al. 2022, arXiv:2203.08679. `none`: the same
    student, schedule and views without a teacher. Many views, mixup and long training make the teacher patient and
    consistent (Beyer et al. 2022, arXiv:2106.05237).
    """

    method: Literal["hinton", "decoupled", "none"] = "hinton"
    """How the teacher's logits are learnt."""
    temperature: PositiveFloat = 4.0
    """What logits are divided by first: the higher, the more the unlikely classes count."""
    teacher_weight: Fraction = 0.9
    """Of the soft loss; the rest is cross-entropy with the labels."""
    target_weight: Annotated[float, Ge(0)] = 1.0
    """`decoupled`: of the class itself, the paper's alpha."""
    non_target_weight: Annotated[float, Ge(0)] = 8.0
    """`decoupled`: of the classes beside it, the paper's beta."""
    views: Positive = 1
    """Augmented views of the training data whose teacher logits are cached; epochs take turns with them."""
    mixup: Annotated[float, Ge(0)] = 0.0
    """A view's samples are mixed in pairs, by shares from Beta(mixup, mixup); 0: not."""
    samples: Positive | None = None
    """Train on the first so many; all where absent."""
    unlabelled: bool = False
    """The teacher's logits of the data set's unlabelled inputs teach, too."""
    members: Positive | None = None
    """Of the teacher: the first so many; all where absent."""
    hints: Annotated[tuple[Hint, ...], Field(max_length=8)] = ()
    """What parts of the teacher say is learnt, too (FitNets, Romero et al. 2015, arXiv:1412.6550)."""
    hint_weight: PositiveFloat = 1.0
    """Of the hints' loss, which is 1 for a student that says nothing."""

    @model_validator(mode="after")
    def _teacher_for_its_parts(self) -> Distillation:
        if self.method == "none" and (self.hints or self.unlabelled):
            raise ValueError("distill.method: none; hints and unlabelled data need a teacher: hinton or decoupled")
        return self

    def without_teacher(self) -> Distillation:
        """The same student, schedule and views, from the labels alone."""
        return self.model_copy(update={"method": "none", "hints": (), "unlabelled": False})


class Member(Section):
    """One teacher: weights of `teacher()` in model.py, trained from the seed, or a finished ONNX file."""

    weights: Path | None = None
    """Of `teacher()`, as `joulebox teacher` makes them (safetensors)."""
    onnx: Path | None = None
    """A finished model of one input, the student's or what `teacher_encode()` makes, and logits; instead of weights."""
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0
    """Of its training; members need different ones."""

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
    """Each by a file."""
    training: Training | None = None
    """How `joulebox teacher` makes weights; needed where it shall."""
