"""Half precision, for GPUs: weights, activations and arithmetic in fp16; inputs and outputs stay what they are.

There is no bf16 form: ONNX Runtime's CPU provider does not run it, so a build without a GPU could not check its answers.
"""

# ONNX Runtime annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from joulebox_build.graph.canonical import canonical_bytes
from joulebox_build.graph.export import quiet


def in_fp16(fp32: bytes) -> bytes:
    """Numbers too large for fp16 become its largest, and what has no fp16 form keeps fp32, with casts around it."""
    with quiet():
        model: Any = convert_float_to_float16(onnx.load_model_from_string(fp32), keep_io_types=True)
        OnnxModel.graph_topological_sort(
            model.graph, is_deterministic=True
        )  # the casts stand at the end, which ONNX forbids
    return canonical_bytes(model)
