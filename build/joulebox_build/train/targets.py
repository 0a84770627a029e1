"""What the labels say of a batch, in which samples may be mixed in pairs, and some may have no label."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

UNLABELLED = -1


@dataclass(frozen=True)
class Targets:
    """Class numbers int64 `[n]`, -1 where there is none; of mixed samples, the others' too, and the first ones' shares `[n]`."""

    labels: Tensor
    others: Tensor | None = None
    shares: Tensor | None = None

    def to(self, device: str) -> Targets:
        if self.others is None or self.shares is None:
            return Targets(self.labels.to(device))
        return Targets(self.labels.to(device), self.others.to(device), self.shares.to(device))

    def loss(self, logits: Tensor) -> Tensor:
        """Cross-entropy, mixed as the samples are; the mean over the batch, to which a sample without label adds nothing."""
        if self.others is None or self.shares is None:
            return _cross_entropy(logits, self.labels).sum() / len(logits)
        mixed = self.shares * _cross_entropy(logits, self.labels) + (1 - self.shares) * _cross_entropy(
            logits, self.others
        )
        return mixed.sum() / len(logits)

    def classes(self, teacher: Tensor) -> Tensor:
        """The class `[n]` that each sample mostly is: what the teacher `[n, classes]` takes it for, where nothing says."""
        mostly = self.labels
        if self.others is not None and self.shares is not None:
            mostly = mostly.where(self.shares >= 0.5, self.others)
        return mostly.where(mostly != UNLABELLED, teacher.argmax(1))


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none", ignore_index=UNLABELLED)
