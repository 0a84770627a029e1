"""The weights of the epoch that did best on validation data, and when to stop waiting for a better one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Best:
    """Keeps a copy of the weights while accuracy rises; the first of equals counts."""

    def __init__(self) -> None:
        self._accuracy = -1.0
        self._weights: dict[str, Tensor] = {}

    def see(self, network: nn.Module, accuracy: float) -> None:
        if accuracy > self._accuracy:
            self._accuracy = accuracy
            self._weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

    def put_into(self, network: nn.Module) -> None:
        network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self._accuracy, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._accuracy, self._weights = state_dict["accuracy"], state_dict["weights"]


def stalled(accuracies: Sequence[float], patience: int | None) -> bool:
    """Whether the best of them was followed by `patience` others."""
    if patience is None or not accuracies:
        return False
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience
