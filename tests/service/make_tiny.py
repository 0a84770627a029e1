"""Makes text.onnx, and tiny.onnx with twins of it, broken or slow: `image` float32 [N, 1, 4, 4] to `logits` [N, 3], a sum over thirds of the
pixels.

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


def slow(turns: int) -> bytes:
    """The same after so many turns of nothing, which take milliseconds on any host: none of it is computed on the spot."""
    made = onnx.load_from_string(model(1.0))
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Abs", ["before"], ["value"])],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), value],
    )
    made.graph.node[0].input[0] = "turned"
    made.graph.node.insert(0, helper.make_node("Loop", ["turns", "", "start"], ["spun"], body=body))
    made.graph.node.insert(1, helper.make_node("Sub", ["spun", "start"], ["zero"]))
    made.graph.node.insert(2, helper.make_node("Add", ["image", "zero"], ["turned"]))
    made.graph.initializer.extend(
        [numpy_helper.from_array(np.array(turns), "turns"), numpy_helper.from_array(np.ones(1, np.float32), "start")]
    )
    onnx.checker.check_model(made)
    return made.SerializeToString()


def text() -> bytes:
    """`ids` int64 [N, 6] to `logits` [N, 3]: how many of a text's numbers leave 0, 1 and 2 when divided by 3; 0 is none."""
    table = np.eye(3, dtype=np.float32)[np.arange(100) % 3]
    table[0] = 0
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["found"]),
            helper.make_node("ReduceSum", ["found", "axes"], ["logits"], keepdims=0),
        ],
        "text",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def probe() -> bytes:
    """`x` float32 [1, 1, 4, 4] to `y`: sums over 3 x 3 neighbours, by a convolution, which is what libraries lack on GPUs."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "ones"], ["y"], pads=[1, 1, 1, 1])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "ones")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


if __name__ == "__main__":
    (Path(__file__).parents[2] / "service/joulebox/engine/probe.onnx").write_bytes(probe())
    Path(__file__).with_name("text.onnx").write_bytes(text())
    Path(__file__).with_name("slow.onnx").write_bytes(slow(5000))
    Path(__file__).with_name("tiny.onnx").write_bytes(model(1.0))
    Path(__file__).with_name("wrong.onnx").write_bytes(model(1.5))
