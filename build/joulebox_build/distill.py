"""Distillation: the student learns the teacher's logits, softened by a temperature, beside the labels.

Hinton et al. 2015, arXiv:1503.02531: loss = w * T^2 * KL(teacher/T || student/T) + (1 - w) * cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from joulebox_build.dataset import Split
from joulebox_build.progress import Progress
from joulebox_build.recipe import Distillation
from joulebox_build.train import Epoch, fit


@dataclass(frozen=True)
class View:
    """A view's images uint8 `[N, C, H, W]`, and the teacher's logits of them, float16 `[N, classes]`."""

    images: NDArray[np.uint8]
    teacher_logits: NDArray[np.float16]


def distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, teacher_weight: float
) -> Tensor:
    """Of logits `[n, classes]` and class numbers `[n]`; T^2 keeps the soft gradient as large as the hard one."""
    soft = kl_div(
        log_softmax(student / temperature, 1), softmax(teacher / temperature, 1), reduction="batchmean"
    )
    return teacher_weight * temperature**2 * soft + (1 - teacher_weight) * cross_entropy(student, labels)


def distill(
    student: nn.Module,
    views: Sequence[View],
    labels: NDArray[np.int64],
    validation: Split,
    normalize: Callable[[Tensor], Tensor],
    settings: Distillation,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Trains the student in place; epoch e sees view e modulo their number."""
    hard = torch.from_numpy(labels)
    seen = [(torch.from_numpy(view.images), torch.from_numpy(view.teacher_logits)) for view in views]

    def batch(epoch: int, index: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        images, teacher = seen[epoch % len(seen)]

        def loss(outputs: Tensor) -> Tensor:
            return distillation_loss(
                outputs,
                teacher[index].float(),
                hard[index],
                temperature=settings.temperature,
                teacher_weight=settings.teacher_weight,
            )

        return images[index], loss

    return fit(
        student,
        batch,
        len(labels),
        validation,
        normalize,
        settings,
        seed=seed,
        progress=progress,
        checkpoint=checkpoint,
    )
