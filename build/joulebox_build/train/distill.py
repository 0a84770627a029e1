"""Distillation: the student learns what the teacher says of each view, beside the labels."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from joulebox_build.data.dataset import Inputs
from joulebox_build.recipe import Distillation
from joulebox_build.train.decoupled import decoupled_loss
from joulebox_build.train.fit import Batch
from joulebox_build.train.hinton import hinton_loss
from joulebox_build.train.targets import Targets
from joulebox_build.train.views import Mix


@dataclass(frozen=True)
class View:
    """A view's inputs `[N, ...]`, the teacher's logits of them, float16 `[N, classes]`, and how they were mixed."""

    inputs: Inputs
    teacher_logits: NDArray[np.float16] | None = None
    mix: Mix | None = None


class Views(Protocol):
    """A list of views, or `LazyViews`."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> View: ...


class LazyViews:
    """Views that are made when their turn comes, so that one is held at a time."""

    def __init__(self, count: int, make: Callable[[int], View]) -> None:
        self._count = count
        self._make = make
        self._held: tuple[int, View] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> View:
        if self._held is None or self._held[0] != number:
            self._held = None  # before the next one is made
            self._held = (number, self._make(number))
        return self._held[1]


def distillation_loss(student: Tensor, teacher: Tensor | None, targets: Targets, settings: Distillation) -> Tensor:
    """Of logits `[n, classes]`: the soft loss and the labels' loss by their weights; without a teacher, the labels' alone."""
    if teacher is None:
        return targets.loss(student)
    if settings.method == "decoupled":
        weights = settings.target_weight, settings.non_target_weight
        classes = targets.classes(teacher)
        soft = decoupled_loss(student, teacher, classes, temperature=settings.temperature, weights=weights)
    else:
        soft = hinton_loss(student, teacher, temperature=settings.temperature)
    return settings.teacher_weight * soft + (1 - settings.teacher_weight) * targets.loss(student)


def distillation(views: Views, labels: NDArray[np.int64], settings: Distillation) -> Batch:
    """Batches for training: epoch e sees view e modulo their number. Labels are class numbers `[N]`, -1 where there is none."""

    def batch(epoch: int, index: NDArray[np.int64]) -> tuple[Inputs, Callable[[Tensor], Tensor]]:
        seen = views[epoch % len(views)]
        targets = _targets(labels, index, seen.mix)
        soft = None if settings.method == "none" else _chosen(seen, index)

        def loss(logits: Tensor) -> Tensor:
            teacher = None if soft is None else soft.to(logits.device)
            return distillation_loss(logits, teacher, targets.to(str(logits.device)), settings)

        return seen.inputs[index], loss

    return batch


def _chosen(view: View, index: NDArray[np.int64]) -> Tensor:
    if view.teacher_logits is None:
        raise ValueError("a view to distil from has the teacher's logits")
    return torch.from_numpy(view.teacher_logits[index]).float()


def _targets(labels: NDArray[np.int64], index: NDArray[np.int64], mix: Mix | None) -> Targets:
    chosen = torch.from_numpy(labels[index])
    if mix is None:
        return Targets(chosen)
    return Targets(chosen, torch.from_numpy(labels[mix.partners[index]]), torch.from_numpy(mix.shares[index]))
