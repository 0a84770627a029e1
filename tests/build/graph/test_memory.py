"""Memory of graphs made by hand, small enough to count."""

from typing import Any

import numpy as np
import onnx
import pytest

from joulebox_build.data.encode import ModelInput
from joulebox_build.graph.memory import Memory, memory
from joulebox_build.judge import boosting

FLOAT, BYTE = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
SAMPLE = np.zeros((1, 10), np.float32)  # 40 bytes
node = onnx.helper.make_node


def used(nodes: list[Any], weights: dict[str, np.ndarray] | None = None, sample: np.ndarray = SAMPLE) -> Memory:
    """Of a graph from `x` `[batch, 10]` to `y`."""
    graph = onnx.helper.make_graph(
        nodes,
        "model",
        [onnx.helper.make_tensor_value_info("x", FLOAT, ["batch", 10])],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    return memory([model.SerializeToString()], sample)


WIDE = {"wide": np.ones((10, 100), np.float32), "narrow": np.ones((100, 5), np.float32)}  # 4000 and 2000 bytes
MLP = [node("MatMul", ["x", "wide"], ["a"]), node("Relu", ["a"], ["b"]), node("MatMul", ["b", "narrow"], ["y"])]


def test_a_chain_needs_what_an_operator_reads_and_writes() -> None:
    found = used(MLP, WIDE)
    assert found.peak_activation_bytes == 40 + 400  # the input is done with before 20 bytes of output come
    assert found.peak_operator == "MatMul"
    assert found.weight_bytes == 6000
    assert found.moved_bytes == (40 + 4000 + 400) + (400 + 2000 + 20)  # the ReLU comes free with what it follows


def test_what_is_needed_later_stays() -> None:
    """A skip connection: the input is added at the end."""
    square = {"w": np.ones((10, 10), np.float32)}
    found = used(
        [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "w"], ["b"]), node("Add", ["b", "x"], ["y"])], square
    )
    assert found.peak_activation_bytes == 3 * 40
    chain = used([node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "w"], ["y"])], square)
    assert chain.peak_activation_bytes == 2 * 40
    assert found.weight_bytes == 400  # kept once, read twice
    assert found.moved_bytes == 2 * (40 + 400 + 40) + 3 * 40


def test_nothing_is_done_in_place_where_another_reads_the_former_value() -> None:
    weights = {"w": np.ones((10, 10), np.float32)}
    swish = [node("MatMul", ["x", "w"], ["a"]), node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["y"])]
    assert used(swish, weights).peak_activation_bytes == 3 * 40
    assert used([node("Relu", ["x"], ["y"])]).peak_activation_bytes == 2 * 40  # the input is the caller's


def test_a_view_is_no_copy() -> None:
    shape = {"shape": np.asarray([1, 2, 5])}
    found = used([node("Reshape", ["x", "shape"], ["v"]), node("Softmax", ["v"], ["y"])], shape)
    assert found.peak_activation_bytes == 2 * 40
    assert found.moved_bytes == 2 * 40


def quantized(of: str, to: str) -> Any:
    return node("QuantizeLinear", [of, "scale", "zero"], [to])


def floating(of: str, to: str) -> Any:
    return node("DequantizeLinear", [of, "scale", "zero"], [to])


SCALE = {"scale": np.float32(0.1), "zero": np.uint8(0)}


def test_quantized_activations_and_weights_count_as_the_integers_they_are() -> None:
    weights = {"w8": np.ones((10, 100), np.uint8), **{name: np.asarray(value) for name, value in SCALE.items()}}
    found = used(
        [
            quantized("x", "x8"),
            floating("x8", "xf"),
            floating("w8", "wf"),
            node("MatMul", ["xf", "wf"], ["a"]),
            node("Relu", ["a"], ["b"]),
            quantized("b", "b8"),
            floating("b8", "bf"),
            node("Softmax", ["bf"], ["y"]),
        ],
        weights,
    )
    assert found.weight_bytes == 1000 + 4 + 1
    assert found.peak_activation_bytes == 100 + 400  # at the softmax, from integers to floats
    assert found.peak_operator == "Softmax"
    assert found.moved_bytes == (40 + 10 + 5) + (10 + 1000 + 100) + (100 + 400)


def test_a_value_that_is_read_as_floats_too_is_not_kept_as_integers_alone() -> None:
    weights = {name: np.asarray(value) for name, value in SCALE.items()} | {"w": np.ones((10, 100), np.float32)}
    found = used(
        [
            node("MatMul", ["x", "w"], ["a"]),
            quantized("a", "a8"),
            floating("a8", "af"),
            node("Add", ["a", "af"], ["y"]),
        ],
        weights,
    )
    assert found.peak_activation_bytes == 400 + 100 + 400


def test_shapes_are_those_of_the_sample() -> None:
    assert used(MLP, WIDE, np.zeros((3, 10), np.float32)).peak_activation_bytes == 3 * 440


def test_constants_are_weights_whatever_makes_them() -> None:
    value = onnx.numpy_helper.from_array(np.ones((10, 10), np.float32))
    found = used(
        [
            node("Constant", [], ["w"], value=value),
            node("Transpose", ["w"], ["t"]),
            node("MatMul", ["x", "t"], ["y"]),
        ]
    )
    assert found.peak_activation_bytes == 80
    assert found.weight_bytes == 400


def test_members_of_a_teacher_run_one_after_another() -> None:
    graph = onnx.helper.make_graph(
        [node("Softmax", ["x"], ["y"])],
        "model",
        [onnx.helper.make_tensor_value_info("x", FLOAT, ["batch", 10])],
        [onnx.ValueInfoProto(name="y")],
    )
    content = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    one, two = memory([content], SAMPLE), memory([content, content], SAMPLE)
    assert two.peak_activation_bytes == one.peak_activation_bytes == pytest.approx(80)
    assert two.moved_bytes == 2 * one.moved_bytes


def test_trees_lie_in_their_operator_and_are_read_with_it() -> None:
    """Gradient boosting is one operator, whose trees are attributes: what it moves is never less than its weights."""
    inputs = np.random.default_rng(0).random((60, 10)).astype(np.float32)
    model = boosting.fit_boosting(inputs, (inputs[:, 0] > 0.5).astype(np.int64), iterations=3)
    content = boosting.to_onnx(model, ModelInput("x", "FP32", (10,), np.asarray))
    found = memory([content], SAMPLE)
    assert 100 < found.weight_bytes < len(content)
    assert found.moved_bytes > found.weight_bytes


def test_a_sequence_counts_as_its_tensors_do() -> None:
    split = [
        node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0),
        node("ConcatFromSequence", ["s"], ["y"], axis=0),
    ]
    assert used(split).peak_activation_bytes == 40 + 40


def test_a_sparse_weight_counts_values_and_places() -> None:
    values = onnx.numpy_helper.from_array(np.ones(2, np.float32), "w")
    places = onnx.numpy_helper.from_array(np.asarray([3, 7]), "w places")
    graph = onnx.helper.make_graph(
        [node("Add", ["x", "w"], ["y"])],
        "model",
        [onnx.helper.make_tensor_value_info("x", FLOAT, ["batch", 10])],
        [onnx.ValueInfoProto(name="y")],
        sparse_initializer=[onnx.helper.make_sparse_tensor(values, places, [10])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    assert memory([model.SerializeToString()], SAMPLE).weight_bytes == 2 * 4 + 2 * 8
