"""Decoupled distillation: how sure of the class, and what the others are like, are learnt apart.

Zhao et al. 2022, arXiv:2203.08679. Hinton's divergence is the first plus the second times what the teacher leaves to the other
classes: next to nothing where it is sure. Here the second counts everywhere alike.
"""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, one_hot, softplus

FAR = 1e4  # taken from the logit of a class that shall not count


def decoupled_loss(
    student: Tensor, teacher: Tensor, targets: Tensor, *, temperature: float, weights: tuple[float, float]
) -> Tensor:
    """The mean over logits `[n, classes]` with class numbers `[n]`, times T^2.

    Args:
        weights: of the class itself and of the others, the paper's alpha and beta.
    """
    student, teacher = student / temperature, teacher / temperature
    target = target_divergence(student, teacher, targets).mean()
    others = non_target_divergence(student, teacher, targets).mean()
    return temperature**2 * (weights[0] * target + weights[1] * others)


def target_divergence(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """KL `[n]` of two probabilities, of the class itself and of all others together."""
    said, expected = _odds(student, targets), _odds(teacher, targets)
    probability = expected.sigmoid()
    return probability * (softplus(-said) - softplus(-expected)) + (1 - probability) * (
        softplus(said) - softplus(expected)
    )


def non_target_divergence(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """KL `[n]` over the classes beside the class itself."""
    without = FAR * one_hot(targets, student.shape[1])
    said, expected = log_softmax(student - without, 1), log_softmax(teacher - without, 1)
    return kl_div(said, expected, reduction="none", log_target=True).sum(1)


def _odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-odds `[n]` of the class itself against all others."""
    chosen = logits.gather(1, targets[:, None])[:, 0]
    return chosen - (logits - FAR * one_hot(targets, logits.shape[1])).logsumexp(1)
