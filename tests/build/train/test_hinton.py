"""Hinton's loss is what the paper says, and keeps its gradient's size over temperatures."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from joulebox_build.train.hinton import hinton_loss

RANDOM = np.random.default_rng(0)
STUDENT, TEACHER = RANDOM.normal(0, 3, (2, 20, 5))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_is_the_papers_formula(temperature: float) -> None:
    expected = softmax(TEACHER / temperature, 1)
    apart = log_softmax(TEACHER / temperature, 1) - log_softmax(STUDENT / temperature, 1)
    found = hinton_loss(torch.from_numpy(STUDENT), torch.from_numpy(TEACHER), temperature=temperature)
    assert found.item() == pytest.approx(temperature**2 * (expected * apart).sum(1).mean())


def test_it_is_zero_for_the_teachers_own_logits_and_positive_for_others() -> None:
    teacher = torch.from_numpy(TEACHER)
    assert abs(hinton_loss(teacher + 5, teacher, temperature=4).item()) < 1e-9
    assert hinton_loss(-teacher, teacher, temperature=4).item() > 0.1


def test_the_temperature_squared_keeps_the_gradient_of_one_order() -> None:
    teacher = torch.tensor([[0.1, 0.2, 0.3]])
    norms: list[float] = []
    for temperature in (4.0, 40.0):
        student = torch.zeros(1, 3, requires_grad=True)
        hinton_loss(student, teacher, temperature=temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert 0.5 < norms[0] / norms[1] < 2
