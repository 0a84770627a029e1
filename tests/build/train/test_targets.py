"""Labels of mixed samples are mixed alike, and a sample without a label adds nothing."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from joulebox_build.train.targets import UNLABELLED, Targets

LOGITS = torch.tensor([[2.0, 0, 1], [0, 3, 0], [1, 1, 4]])
LABELS, OTHERS, SHARES = torch.tensor([0, 1, 1]), torch.tensor([1, 1, 2]), torch.tensor([0.8, 0.5, 0.3])


def test_labels_alone_give_cross_entropy() -> None:
    assert torch.allclose(Targets(LABELS).loss(LOGITS), cross_entropy(LOGITS, LABELS))


def test_mixed_labels_give_cross_entropy_with_the_mixed_probabilities() -> None:
    one_hot = torch.nn.functional.one_hot
    mixed = SHARES[:, None] * one_hot(LABELS, 3) + (1 - SHARES[:, None]) * one_hot(OTHERS, 3)
    assert torch.allclose(Targets(LABELS, OTHERS, SHARES).loss(LOGITS), cross_entropy(LOGITS, mixed))


def test_a_sample_without_a_label_adds_nothing() -> None:
    some = torch.tensor([0, UNLABELLED, UNLABELLED])
    assert Targets(some).loss(LOGITS).item() == pytest.approx(cross_entropy(LOGITS[:1], LABELS[:1]).item() / 3)
    assert Targets(torch.full((3,), UNLABELLED)).loss(LOGITS).item() == 0


def test_the_class_is_that_of_the_larger_share_else_the_teachers() -> None:
    teacher = torch.tensor([[0.0, 0, 9]] * 3)
    assert Targets(LABELS, OTHERS, SHARES).classes(teacher).tolist() == [0, 1, 2]
    assert Targets(torch.tensor([0, UNLABELLED, 1])).classes(teacher).tolist() == [0, 2, 1]
