"""Distillation: the student learns the teacher's logits, softened by a temperature, beside the labels.

Hinton et al. 2015, arXiv:1503.02531: loss = w * T^2 * KL(teacher/T || student/T) + (1 - w) * cross-entropy.
"""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from joulebox_build.data.dataset import Inputs
from joulebox_build.recipe import Distillation
from joulebox_build.train.fit import Batch


@dataclass(frozen=True)
class View:
    """A view's inputs `[N, ...]`, and the teacher's logits of them, float16 `[N, classes]`."""

    inputs: Inputs
    teacher_logits: NDArray[np.float16]


def distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, teacher_weight: float
) -> Tensor:
    """Of logits `[n, classes]` and class numbers `[n]`; T^2 keeps the soft gradient as large as the hard one."""
    soft = kl_div(log_softmax(student / temperature, 1), softmax(teacher / temperature, 1), reduction="batchmean")
    return teacher_weight * temperature**2 * soft + (1 - teacher_weight) * cross_entropy(student, labels)


def distillation(views: Sequence[View], labels: NDArray[np.int64], settings: Distillation) -> Batch:
    """Batches for training: epoch e sees view e modulo their number. Labels are class numbers `[N]`."""
    hard = torch.from_numpy(labels)
    seen = [(view.inputs, torch.from_numpy(view.teacher_logits)) for view in views]

    def batch(epoch: int, index: NDArray[np.int64]) -> tuple[Inputs, Callable[[Tensor], Tensor]]:
        inputs, soft = seen[epoch % len(seen)]
        loss = functools.partial(
            distillation_loss,
            teacher=soft[index].float(),
            labels=hard[index],
            temperature=settings.temperature,
            teacher_weight=settings.teacher_weight,
        )
        return inputs[index], loss

    return batch
