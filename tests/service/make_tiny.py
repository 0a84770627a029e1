"""Makes tiny.onnx and broken twins of it: `image` float32 [N, 1, 4, 4] to `logits` [N, 3], a sum over thirds of the pixels.

Run where `onnx` is installed; the device's tests run where it is not, and read what is committed.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(scale: float) -> bytes:
    weights = np.zeros((16, 3), np.float32)
    for pixel in range(16):
        weights[pixel, pixel % 3] = scale
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


if __name__ == "__main__":
    Path(__file__).with_name("tiny.onnx").write_bytes(model(1.0))
    Path(__file__).with_name("wrong.onnx").write_bytes(model(1.5))
