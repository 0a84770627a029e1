"""How a student loses channels."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt, Le, Lt
from pydantic import model_validator

from joulebox_build.recipe.section import Positive, PositiveFloat, Section

TARGETS = ("ratio", "macs", "bytes", "latency")


class Pruning(Section):
    """Structured pruning of the trained student, in rounds with fine-tuning under the same teacher; exactly one target."""

    importance: Literal["magnitude", "taylor", "batchnorm", "random"] = "magnitude"
    """By which channels are ranked."""
    ratio: Annotated[float, Gt(0), Lt(1)] | None = None
    """Target: the fraction to take of the channels that can go."""
    macs: Annotated[float, Gt(0), Le(1)] | None = None
    """Target: the fraction of the multiply-accumulates to keep."""
    bytes: Positive | None = None
    """Target: the fp32 ONNX file at most."""
    latency: Annotated[float, Gt(0), Lt(1)] | None = None
    """Target: the fraction of the latency to keep, on this host; another one prunes otherwise."""
    rounds: Positive = 1
    """Each goes an equal part of the way and is fine-tuned."""
    round_to: Positive | None = None
    """Layers keep a multiple of so many channels; where absent 8, or 4 where no layer has 64."""
    epochs: Positive = 4
    """Of fine-tuning in each round."""
    learning_rate: PositiveFloat = 0.05
    """Of fine-tuning, at the schedule's peak."""

    @model_validator(mode="after")
    def _one_target(self) -> Pruning:
        named = [name for name in TARGETS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(
                f"prune: names {', '.join(named) or 'no target'}; expected exactly one of {', '.join(TARGETS)}"
            )
        return self
