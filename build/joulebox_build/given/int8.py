"""The given model in int8: its first convolutions in float, its biases corrected for what rounding the weights shifts."""

from __future__ import annotations

import onnx

from joulebox_build.compress.bias import corrected
from joulebox_build.compress.calibrate import calibrate
from joulebox_build.compress.quantize import prepare, write
from joulebox_build.data.dataset import Inputs
from joulebox_build.data.encode import ModelInput


def in_int8(fp32: bytes, samples: Inputs, given: ModelInput, *, float_convolutions: int) -> bytes:
    """The model's CPU form.

    Args:
        samples: to calibrate on `[N, ...]`.
        float_convolutions: the first so many, and what lies between them, stay as they are.
    """
    prepared = prepare(fp32)
    floats = first_layers(prepared, float_convolutions)
    ranges = calibrate(prepared, samples, given.encode, "min-max")
    return write(corrected(prepared, samples, given.encode, floats=floats), ranges, floats=floats)


def first_layers(prepared: bytes, convolutions: int) -> list[str]:
    """The names of the nodes up to that convolution, in the order in which they run."""
    names: list[str] = []
    for node in onnx.load_model_from_string(prepared).graph.node:
        if convolutions == 0:
            break
        names.append(node.name)
        convolutions -= node.op_type == "Conv"
    return names
