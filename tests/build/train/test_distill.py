"""Distillation moves a student towards its teacher's logits, and each epoch sees its own view."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from joulebox_build.data.dataset import Inputs
from joulebox_build.recipe import Distillation
from joulebox_build.train.distill import View, distillation, distillation_loss
from joulebox_build.train.views import view

LABELS = torch.tensor([0, 1])


def test_without_a_teacher_the_loss_is_cross_entropy() -> None:
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    loss = distillation_loss(student, teacher, LABELS, temperature=4, teacher_weight=0)
    assert torch.allclose(loss, cross_entropy(student, LABELS))


def test_the_soft_loss_is_zero_for_the_teachers_own_logits_and_positive_for_others() -> None:
    teacher = torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]])
    same = distillation_loss(teacher + 5, teacher, LABELS, temperature=4, teacher_weight=1)
    other = distillation_loss(-teacher, teacher, LABELS, temperature=4, teacher_weight=1)
    assert abs(same.item()) < 1e-5
    assert other.item() > 0.1


def test_the_temperature_squared_keeps_the_soft_gradient_of_one_order() -> None:
    teacher = torch.tensor([[0.1, 0.2, 0.3]])
    norms: list[float] = []
    for temperature in (4.0, 40.0):
        student = torch.zeros(1, 3, requires_grad=True)
        distillation_loss(student, teacher, LABELS[:1], temperature=temperature, teacher_weight=1).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert 0.5 < norms[0] / norms[1] < 2


def test_epochs_take_turns_with_the_views() -> None:
    views = [View(np.full((2, 1, 1, 1), n, np.uint8), np.zeros((2, 2), np.float16)) for n in range(3)]
    batch = distillation(views, np.asarray([0, 1]), Distillation(epochs=5))
    seen = [int(batch(epoch, np.asarray([0]))[0].max()) for epoch in range(5)]
    assert seen == [0, 1, 2, 0, 1]


def test_a_view_depends_on_seed_and_number_alone() -> None:
    images = np.arange(64, dtype=np.uint8).reshape(4, 1, 4, 4)

    def augment(images: Inputs, random: np.random.Generator) -> Inputs:
        return images + random.integers(0, 100, (len(images), 1, 1, 1), np.uint8)

    def draw(number: int, seed: int) -> bytes:
        return view(images, number, seed=seed, augment=augment).tobytes()

    assert draw(0, 0) == draw(0, 0)
    assert len({draw(0, 0), draw(1, 0), draw(0, 1), draw(1, 1)}) == 4
