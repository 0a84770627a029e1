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
    ratio: Annotated[float, Gt(0), Lt(1)] | None = None  # of the channels that can go
    macs: Annotated[float, Gt(0), Le(1)] | None = None  # fraction of the multiply-accumulates to keep
    bytes: Positive | None = None  # at most, of the fp32 ONNX file
    latency: Annotated[float, Gt(0), Lt(1)] | None = (
        None  # fraction to keep, on this host: another one prunes otherwise
    )
    rounds: Positive = 1  # each a part of the way, and fine-tuned
    round_to: Positive | None = None  # layers keep a multiple of so many; by default 8, or 4 where none has 64
    epochs: Positive = 4  # of fine-tuning in each round
    learning_rate: PositiveFloat = 0.05

    @model_validator(mode="after")
    def _one_target(self) -> Pruning:
        named = [name for name in TARGETS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(
                f"prune: names {', '.join(named) or 'no target'}; expected exactly one of {', '.join(TARGETS)}"
            )
        return self
