"""Decoupled distillation is what the paper says: the two parts of Hinton's divergence, weighed apart."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from joulebox_build.train.decoupled import decoupled_loss, non_target_divergence, target_divergence
from joulebox_build.train.hinton import hinton_loss


def drawn(seed: int, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    student, teacher = random.normal(0, 4, (2, 12, classes))
    return student, teacher, random.integers(0, classes, 12)


def reference(student: NDArray[np.float64], teacher: NDArray[np.float64], label: int) -> tuple[float, float]:
    """Target and non-target divergence of one sample, straight from the paper's equations 4 to 6."""
    p, q = softmax(teacher), softmax(student)
    target = p[label] * np.log(p[label] / q[label]) + (1 - p[label]) * np.log((1 - p[label]) / (1 - q[label]))
    others = np.delete(p, label) / (1 - p[label]), np.delete(q, label) / (1 - q[label])
    return target, float((others[0] * np.log(others[0] / others[1])).sum())


@given(seed=st.integers(0, 10**6), classes=st.integers(3, 8))
def test_it_is_the_papers_formula(seed: int, classes: int) -> None:
    student, teacher, labels = drawn(seed, classes)
    parts = [
        reference(*(each / 2 for each in pair), label) for *pair, label in zip(student, teacher, labels, strict=True)
    ]
    target, others = np.mean(parts, 0)
    tensors = map(torch.from_numpy, (student, teacher, labels))
    found = decoupled_loss(*tensors, temperature=2, weights=(1.5, 8))
    assert found.item() == pytest.approx(4 * (1.5 * target + 8 * others), rel=1e-6, abs=1e-9)


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 8))
def test_with_the_teachers_own_doubt_as_the_second_weight_it_is_hintons(seed: int, classes: int) -> None:
    student, teacher, labels = map(torch.from_numpy, drawn(seed, classes))
    doubt = 1 - teacher.softmax(1).gather(1, labels[:, None])[:, 0]
    both = target_divergence(student, teacher, labels) + doubt * non_target_divergence(student, teacher, labels)
    assert both.mean().item() == pytest.approx(hinton_loss(student, teacher, temperature=1).item(), rel=1e-6, abs=1e-9)


def test_it_is_zero_for_the_teachers_own_logits() -> None:
    _, teacher, labels = map(torch.from_numpy, drawn(0, 5))
    assert abs(decoupled_loss(teacher + 3, teacher, labels, temperature=4, weights=(1, 8)).item()) < 1e-6


def test_it_and_its_gradient_are_finite_where_the_teacher_has_no_doubt() -> None:
    student = torch.zeros(1, 3, requires_grad=True)
    loss = decoupled_loss(student, torch.tensor([[200.0, 0, -200]]), torch.tensor([0]), temperature=1, weights=(1, 8))
    loss.backward()
    assert student.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
