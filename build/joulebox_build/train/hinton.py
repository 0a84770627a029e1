"""Hinton distillation: the student learns the teacher's logits, softened by a temperature.

Hinton et al. 2015, arXiv:1503.02531: T^2 * KL(teacher/T || student/T).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax


def hinton_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """The mean over logits `[n, classes]`; T^2 keeps its gradient as large as that of the labels' loss."""
    said, expected = log_softmax(student / temperature, 1), softmax(teacher / temperature, 1)
    return temperature**2 * kl_div(said, expected, reduction="batchmean")
