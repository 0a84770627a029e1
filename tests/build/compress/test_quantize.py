"""int8 in a CPU's form and in TensorRT's, from one calibration; what is chosen, is chosen on validation data."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from joulebox_build.compress.calibrate import Ranges, calibrate
from joulebox_build.compress.choice import Material, QuantizationChoice, Quantized, choose
from joulebox_build.compress.exam import open_exam
from joulebox_build.compress.quantize import prepare, write
from joulebox_build.data.dataset import Split
from joulebox_build.data.encode import ModelInput
from joulebox_build.graph.export import export_named
from joulebox_build.graph.inference import outputs
from joulebox_build.progress import Silent
from joulebox_build.recipe.quantization import Calibrator, Quantization

GIVEN = ModelInput("image", "FP32", (2, 8, 8), np.asarray)
WEIGHTED = ("Conv", "Gemm", "MatMul")


class Tiny(nn.Module):
    """A residual block and a linear layer, one of whose inputs is far larger than the others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.body(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(120, *GIVEN.shape)) + 3 * random.normal(size=(120, 2, 1, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def exported(inputs: np.ndarray) -> tuple[bytes, list[str]]:
    torch.manual_seed(0)
    network = Tiny().eval()
    with torch.no_grad():  # every class has its share of the answers
        network.head.bias -= network(torch.from_numpy(inputs)).mean(0)
    return export_named(network, GIVEN)


@pytest.fixture(scope="module")
def prepared(exported: tuple[bytes, list[str]]) -> bytes:
    return prepare(*exported)


@pytest.fixture(scope="module")
def ranges(prepared: bytes, inputs: np.ndarray) -> Ranges:
    return calibrate(prepared, inputs, np.asarray, "min-max")


def made_by(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def test_every_layer_of_tensorrts_form_is_fed_by_pairs_of_its_own_with_zero_point_0(
    prepared: bytes, ranges: Ranges
) -> None:
    model = onnx.load_model_from_string(write(prepared, ranges, "tensorrt"))
    producer = made_by(model)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in WEIGHTED]
    assert [len(layer.input) for layer in layers] == [2, 2, 3]
    for layer in layers:
        for name in layer.input[:2]:
            assert producer[name].op_type == "DequantizeLinear"
            assert producer[producer[name].input[0]].op_type == "QuantizeLinear"
        assert all(constants[bias].dtype == np.float32 for bias in layer.input[2:])
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in pairs:
        assert constants[node.input[2]].dtype == np.int8
        assert not constants[node.input[2]].any()
    for node in pairs:
        if node.op_type == "DequantizeLinear":
            assert sum(node.output[0] in other.input for other in model.graph.node) == 1
    weights = [constants[producer[producer[layer.input[1]].input[0]].input[1]] for layer in layers]
    assert [scale.shape for scale in weights] == [(8,), (8,), (3,)]


def test_a_cpus_form_has_unsigned_activations_and_small_weights(prepared: bytes, ranges: Ranges) -> None:
    model = onnx.load_model_from_string(write(prepared, ranges, "cpu"))
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert {onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32} <= types
    assert made_by(model)["logits"].op_type == "Gemm"  # whose answers are not rounded to 256 steps


@pytest.mark.parametrize("calibrator", ["min-max", "entropy", "percentile"])
def test_both_forms_stay_near_fp32(
    exported: tuple[bytes, list[str]], prepared: bytes, inputs: np.ndarray, calibrator: Calibrator
) -> None:
    reference = outputs(exported[0], inputs)
    found = calibrate(prepared, inputs, np.asarray, calibrator, percentile=99.999)
    for form in ("cpu", "tensorrt"):
        error = np.abs(outputs(write(prepared, found, form), inputs) - reference)
        assert error.mean() < 0.1 * np.abs(reference).max()


@pytest.mark.parametrize("calibrator", ["min-max", "entropy", "percentile"])
def test_ranges_hold_what_was_seen_whatever_the_batches(
    prepared: bytes, inputs: np.ndarray, calibrator: Calibrator
) -> None:
    found = calibrate(prepared, inputs, np.asarray, calibrator)  # 120 samples: two batches and a part of one
    low, high = found["image"]
    assert float(inputs.min()) <= low < high <= float(inputs.max()) + 0.1
    if calibrator == "min-max":
        assert (low, high) == (float(inputs.min()), float(inputs.max()))


def exam_of(exported: tuple[bytes, list[str]], inputs: np.ndarray, labels: np.ndarray | None = None) -> Material:
    labels = outputs(exported[0], inputs).argmax(1) if labels is None else labels
    exam = open_exam(exported[0], Split(inputs, labels.astype(np.int64)), np.asarray)
    return Material(inputs, np.asarray, exam)


def chosen(
    exported: tuple[bytes, list[str]], inputs: np.ndarray, settings: Quantization
) -> tuple[Quantized, QuantizationChoice]:
    return choose(*exported, exam_of(exported, inputs), settings, Silent())


def test_the_calibrator_that_does_best_on_validation_data_is_kept(
    exported: tuple[bytes, list[str]], inputs: np.ndarray
) -> None:
    settings = Quantization(calibrators=["percentile", "min-max"], percentile=70)  # which cuts off nearly a third
    _, choice = chosen(exported, inputs, settings)
    assert [tried.calibrator for tried in choice.calibrators] == ["percentile", "min-max"]
    assert choice.calibrator == "min-max"
    assert choice.score == choice.calibrators[1].score
    assert choice.fp32.accuracy == 1
    assert choice.fp32.divergence == 0
    assert not choice.sensitivity


def test_layers_are_named_by_their_modules_and_the_most_harmful_come_first(
    exported: tuple[bytes, list[str]], inputs: np.ndarray
) -> None:
    _, choice = chosen(exported, inputs, Quantization(sensitivity=True))
    assert {"stem.0 Conv", "body.0 Conv", "head Gemm"} <= {harm.layer for harm in choice.sensitivity}
    harms = [harm.score.divergence for harm in choice.sensitivity]
    assert harms == sorted(harms, reverse=True)
    assert harms[0] > 0


def test_harmful_layers_stay_in_float_until_the_limit_holds_and_no_more_than_are_allowed(
    exported: tuple[bytes, list[str]], inputs: np.ndarray
) -> None:
    poor = Quantization(calibrators=["percentile"], percentile=70, drop_max=0)
    _, none = chosen(exported, inputs, poor)
    assert not none.holds
    assert none.float_layers == []
    _, one = chosen(exported, inputs, poor.model_copy(update={"float_layers_max": 1}))
    assert one.float_layers == [one.sensitivity[0].layer]
    quantized, many = chosen(exported, inputs, poor.model_copy(update={"float_layers_max": 9}))
    assert many.holds
    assert many.drop <= 0
    layers = {node.name for node in onnx.load_model_from_string(quantized.prepared).graph.node}
    assert set(many.float_layers) < layers
    convolutions = [name for name in layers if name.endswith("Conv") and name not in many.float_layers]
    model = onnx.load_model_from_string(quantized.write("cpu"))
    fed = [
        made_by(model)[node.input[1]]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in made_by(model)
    ]
    assert len(fed) == len(convolutions)


def test_a_limit_that_int8_meets_leaves_no_layer_in_float(
    exported: tuple[bytes, list[str]], inputs: np.ndarray
) -> None:
    _, choice = chosen(exported, inputs, Quantization(drop_max=0.5, float_layers_max=3))
    assert choice.holds
    assert choice.float_layers == []
    assert replace(choice, drop_max=None).holds
