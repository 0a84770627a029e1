"""Which layers int8 harms most: each is quantized alone, all others in float.

That takes one small model and one pass over some validation data a layer, and says what the layer itself does; leaving
one out of a model that is all int8 would measure it against the noise of all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from joulebox_build.compress.calibrate import Ranges
from joulebox_build.compress.exam import Exam, Score
from joulebox_build.compress.quantize import write
from joulebox_build.progress import Progress


@dataclass(frozen=True)
class Harm:
    """What int8 in this layer alone does to the model's answers."""

    layer: str
    score: Score


def sensitivity(prepared: bytes, ranges: Ranges, exam: Exam, progress: Progress) -> list[Harm]:
    """Each layer that can be int8, the most harmful first."""
    names = [node.name for node in onnx.load_model_from_string(prepared).graph.node]
    harms: list[Harm] = []
    for name in names:
        alone = write(prepared, ranges, only=[name])
        if _is_quantized(alone):
            harms.append(Harm(name, exam.score(alone)))
        progress.advance(1 / len(names))
    return sorted(harms, key=lambda harm: -harm.score.divergence)


def _is_quantized(model: bytes) -> bool:
    """Nodes such as a ReLU are quantized only beside others."""
    return any(node.op_type == "QuantizeLinear" for node in onnx.load_model_from_string(model).graph.node)
