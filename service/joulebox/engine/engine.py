"""What runs a variant: one narrow protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]


class EngineError(Exception):
    """A variant cannot be opened or run here; the message says why."""


class Engine(Protocol):
    """An opened variant. `run` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """`onnxruntime`, …"""
        ...

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, …"""
        ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """One inference of a batch.

        Raises:
            EngineError: the engine refused or failed.
        """
        ...
