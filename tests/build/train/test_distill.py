"""Distillation weighs the teacher and the labels, and each epoch sees its own view, one of which is held."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from joulebox_build.recipe import Distillation
from joulebox_build.train.distill import LazyViews, View, distillation, distillation_loss
from joulebox_build.train.targets import Targets
from joulebox_build.train.views import Mix

LABELS = torch.tensor([0, 1])
STUDENT, TEACHER = torch.tensor([[1.0, 2, 3], [0, 1, 0]]), torch.tensor([[2.0, 0, 1], [1, 5, 1]])


@pytest.mark.parametrize("method", ["hinton", "decoupled"])
def test_a_teacher_without_weight_leaves_the_labels_loss(method: str) -> None:
    settings = Distillation(epochs=1, method=method, teacher_weight=0)
    assert torch.allclose(
        distillation_loss(STUDENT, TEACHER, Targets(LABELS), settings), cross_entropy(STUDENT, LABELS)
    )


@pytest.mark.parametrize("method", ["hinton", "decoupled"])
def test_labels_without_weight_leave_nothing_to_learn_for_the_teachers_own_logits(method: str) -> None:
    settings = Distillation(epochs=1, method=method, teacher_weight=1)
    assert abs(distillation_loss(TEACHER, TEACHER, Targets(LABELS), settings).item()) < 1e-5


def test_without_a_teacher_there_are_the_labels_alone() -> None:
    view = View(np.zeros((2, 1), np.float32), mix=Mix(np.asarray([1, 0]), np.asarray([0.5, 0.5], np.float32)))
    batch = distillation([view], LABELS.numpy(), Distillation(epochs=1, method="none"))
    _, loss_of = batch(0, np.asarray([1]))
    both = (cross_entropy(STUDENT[:1], LABELS[:1]) + cross_entropy(STUDENT[:1], LABELS[1:])) / 2
    assert torch.allclose(loss_of(STUDENT[:1]), both)


def test_epochs_take_turns_with_the_views_and_one_is_held() -> None:
    made: list[int] = []

    def make(number: int) -> View:
        made.append(number)
        return View(np.full((2, 1, 1, 1), number, np.uint8), np.zeros((2, 2), np.float16))

    batch = distillation(LazyViews(3, make), np.asarray([0, 1]), Distillation(epochs=5))
    seen = [int(batch(epoch, np.asarray([each]))[0].max()) for epoch in range(5) for each in range(2)]
    assert seen == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1]
    assert made == [0, 1, 2, 0, 1]
