"""Small ONNX models of the kinds that people bring. Each function writes one into a folder and gives its path.

For tests where `onnx` is installed, by the fixture `onnx_models`. The device's tests run where it is not: what they
read is committed, and made by `python tests/onnx_models.py tests/service`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper

OPSET, IR_VERSION = 17, 9
DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
Shape = Sequence[int | str] | None


def tokens(folder: Path) -> Path:
    """A text classifier: `input_ids` and `attention_mask` INT64 [batch, sequence] to `logits` FP32 [batch, 3].

    30 tokens are known; masked ones do not count. Batched.
    """
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["embedded", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "second"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "second"], ["count"], keepdims=0),
        helper.make_node("Max", ["count", "one"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
    ]
    constants = {
        "embeddings": random.normal(size=(30, 8)).astype(np.float32),
        "head": random.normal(size=(8, 3)).astype(np.float32),
        "last": np.array([-1]),
        "second": np.array([1]),
        "one": np.array([1], np.float32),
    }
    ids = ["batch", "sequence"]
    return save(
        folder / "tokens.onnx",
        model(
            nodes,
            [tensor("input_ids", "INT64", ids), tensor("attention_mask", "INT64", ids)],
            [tensor("logits", "FP32", ["batch", 3])],
            constants,
        ),
    )


def state(folder: Path) -> Path:
    """A detector that carries state from call to call, with tensors as silero's voice detector has them.

    `input` FP32 [batch, samples], `state` FP32 [2, batch, 4], `sr` INT64 of rank 0 to `output` FP32 [batch, 1] and
    `stateN` FP32 [2, batch, 4]. Not batched: the batch is not first everywhere.
    """
    nodes = [
        helper.make_node("Abs", ["input"], ["loud"]),
        helper.make_node("ReduceMean", ["loud"], ["level"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["state", "half"], ["old"]),
        helper.make_node("Add", ["old", "level"], ["stateN"]),
        helper.make_node("ReduceMean", ["stateN"], ["memory"], axes=[0, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["memory", "last"], ["column"]),
        helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["rate", "usual"], ["gain"]),
        helper.make_node("Mul", ["column", "gain"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["output"]),
    ]
    constants = {
        "half": np.array(0.5, np.float32),
        "usual": np.array(16000, np.float32),
        "last": np.array([-1]),
    }
    return save(
        folder / "state.onnx",
        model(
            nodes,
            [
                tensor("input", "FP32", ["batch", "samples"]),
                tensor("state", "FP32", [2, "batch", 4]),
                tensor("sr", "INT64", []),
            ],
            [tensor("output", "FP32", ["batch", 1]), tensor("stateN", "FP32", [2, "batch", 4])],
            constants,
        ),
    )


def strings(folder: Path) -> Path:
    """`text` and `suffix` BYTES [batch] to `joined` BYTES [batch] and `id` INT64 [batch] (red 0, green 1, blue 2, else -1)."""
    nodes = [
        helper.make_node("StringConcat", ["text", "suffix"], ["joined"]),
        helper.make_node(
            "LabelEncoder",
            ["text"],
            ["id"],
            domain="ai.onnx.ml",
            keys_strings=["red", "green", "blue"],
            values_int64s=[0, 1, 2],
            default_int64=-1,
        ),
    ]
    made = model(
        nodes,
        [tensor("text", "BYTES", ["batch"]), tensor("suffix", "BYTES", ["batch"])],
        [tensor("joined", "BYTES", ["batch"]), tensor("id", "INT64", ["batch"])],
        opsets={"": 20, "ai.onnx.ml": 3},
    )
    return save(folder / "strings.onnx", made)


def datatypes(folder: Path) -> Path:
    """Each datatype, unchanged: `in_FP32` [batch, 2] to `out_FP32` [batch, 2], and so on for all 13."""
    shape = ["batch", 2]
    return save(
        folder / "datatypes.onnx",
        model(
            [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in DATATYPES],
            [tensor(f"in_{name}", name, shape) for name in DATATYPES],
            [tensor(f"out_{name}", name, shape) for name in DATATYPES],
        ),
    )


def external(folder: Path) -> Path:
    """`x` FP32 [batch, 16] times weights, which lie in external.data beside it, to `y` FP32 [batch, 8]."""
    weights = np.random.default_rng(2).normal(size=(16, 8)).astype(np.float32)
    made = model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [tensor("x", "FP32", ["batch", 16])],
        [tensor("y", "FP32", ["batch", 8])],
        {"weights": weights},
    )
    (folder / "external.data").unlink(missing_ok=True)  # onnx would append to it
    external_data_helper.set_external_data(made.graph.initializer[0], "external.data")
    external_data_helper.write_external_data_tensors(made, str(folder))
    return save(folder / "external.onnx", made)


def tensor(name: str, datatype: str, shape: Shape) -> Any:
    """An input or output; a shape's text is a free dimension's name, and no shape at all means any rank."""
    return helper.make_tensor_value_info(name, DATATYPES[datatype], shape)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opsets: dict[str, int] | None = None,
    ir_version: int = IR_VERSION,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    return helper.make_model(
        helper.make_graph(nodes, "model", inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid(*opset) for opset in (opsets or {"": OPSET}).items()],
        ir_version=ir_version,
    )


def save(path: Path, made: onnx.ModelProto) -> Path:
    path.write_bytes(made.SerializeToString())
    onnx.checker.check_model(str(path))
    return path


if __name__ == "__main__":
    for make in (state, strings, datatypes, external):
        make(Path(sys.argv[1]))
