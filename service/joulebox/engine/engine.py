"""What runs a variant: one narrow protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from joulebox.package.manifest import EngineName

Tensors = Mapping[str, NDArray[Any]]


class EngineError(Exception):
    """A variant cannot be opened or run here; the message says why."""


class Engine(Protocol):
    """An opened variant. `run` may be called from several threads at once."""

    @property
    def name(self) -> EngineName: ...

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, …"""
        ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """One inference of a batch. The outputs are the caller's own: no later run changes them.

        Raises:
            EngineError: the engine refused or failed.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds. No run is under way, and none follows."""
        ...
