"""Biases take back what rounding the weights to int8 shifts on average."""

import numpy as np
import onnx
import pytest

from joulebox_build.compress.bias import corrected
from joulebox_build.graph.inference import outputs

INPUTS = np.random.default_rng(0).uniform(0, 2, (40, 4, 8, 8)).astype(np.float32)


def layer(weights: tuple[int, ...], **fields: int) -> bytes:
    """A convolution of that many weights `[outputs, inputs of a group, height, width]`."""
    helper, random = onnx.helper, np.random.default_rng(1)
    values = {"weights": random.normal(size=weights), "bias": random.normal(size=weights[0])}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights", "bias"], ["logits"], name="layer", **fields)],
        "model",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 4, 8, 8])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def weights_rounded(prepared: bytes) -> bytes:
    """To int8 and back, with a scale for each output."""
    model = onnx.load_model_from_string(prepared)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ndim > 1 and values.dtype == np.float32:
            scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.round(values / scale) * scale, tensor.name))
    return model.SerializeToString()


@pytest.mark.parametrize(
    "prepared",
    [layer((6, 4, 1, 1)), layer((8, 1, 3, 3), group=4), layer((6, 2, 1, 1), group=2)],
    ids=["pointwise", "depthwise", "grouped"],
)
def test_mean_outputs_with_rounded_weights_are_those_of_float(prepared: bytes) -> None:
    plain, better = (_shift(prepared, one) for one in (prepared, corrected(prepared, INPUTS, np.asarray)))
    assert better < plain / 3


def _shift(prepared: bytes, candidate: bytes) -> float:
    """Of the mean of each channel, in the middle."""
    found, wanted = (outputs(one, INPUTS).mean((0, 2, 3)) for one in (weights_rounded(candidate), prepared))
    return float(np.abs(found - wanted).mean())


def test_layers_that_stay_in_float_keep_their_biases() -> None:
    prepared = layer((6, 4, 1, 1))
    kept = outputs(corrected(prepared, INPUTS, np.asarray, floats=["layer"]), INPUTS)
    np.testing.assert_array_equal(kept, outputs(prepared, INPUTS))
