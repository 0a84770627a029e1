"""Exported models compute what the network computes, take any batch, and are the same bytes each time."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from int8 import quantize
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.canonical import canonical_bytes
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import outputs
from joulebox_build.judge.linear import fit_logistic_regression, to_onnx

GIVEN = ModelInput("image", "FP32", (1, 8, 8), np.asarray)
SHAPE = GIVEN.shape


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3)
    )
    norm = net[1]
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return net.eval()


@pytest.fixture(scope="module")
def exported() -> bytes:
    return export(network(), GIVEN)


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_it_computes_what_the_network_computes(exported: bytes, inputs: np.ndarray, count: int) -> None:
    with torch.inference_mode():
        expected = network()(torch.from_numpy(inputs[:count])).numpy()
    assert np.allclose(outputs(exported, inputs[:count]), expected, atol=1e-5)


def test_batch_norms_are_folded_and_nothing_names_this_machine(exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    onnx.checker.check_model(model, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "logits"]
    assert not model.producer_name
    assert b"torch" not in exported


def test_int8_stays_near_and_is_smaller(exported: bytes, inputs: np.ndarray) -> None:
    small = quantize(exported, inputs)
    reference = outputs(exported, inputs)
    assert np.abs(outputs(small, inputs) - reference).max() < 0.05 * np.abs(reference).max()
    onnx.checker.check_model(onnx.load_model_from_string(small), full_check=True)
    types = {tensor.data_type for tensor in onnx.load_model_from_string(small).graph.initializer}
    assert onnx.TensorProto.INT8 in types
    assert onnx.TensorProto.UINT8 in types


SCRIPT = """
import hashlib, numpy as np, torch
from joulebox_build.data.encode import ModelInput
from torch import nn
from joulebox_build.graph.export import export
from int8 import quantize
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)).eval()
model = export(net, ModelInput("image", "FP32", (1, 8, 8), np.asarray))
small = quantize(model, np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32))
print(hashlib.sha256(model + small).hexdigest())
"""


def test_another_process_with_other_hashing_makes_the_same_bytes_and_says_nothing() -> None:
    digests: set[str] = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert not done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_network_that_onnx_cannot_express_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(RecipeError, match="the network cannot be exported to ONNX"):
        export(Branching(), GIVEN)


def test_equal_constants_are_kept_once_and_unused_ones_not_at_all() -> None:
    helper = onnx.helper
    ones = np.ones(3, np.float32)
    constants = [onnx.numpy_helper.from_array(ones, name) for name in ("long_name", "other_name", "unused")]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["image", "long_name"], ["inner"], name="first", doc_string="said"),
            helper.make_node("Mul", ["inner", "other_name"], ["logits"]),
        ],
        "any",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [3])],
        constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.unused", 1)]
    content = canonical_bytes(helper.make_model(graph, opset_imports=opsets))
    model = onnx.load_model_from_string(content)
    assert len(model.graph.initializer) == 1
    assert [entry.domain for entry in model.opset_import] == [""]
    assert b"long_name" not in content
    assert b"said" not in content
    assert canonical_bytes(model) == content


def test_the_baseline_as_onnx_predicts_what_it_learnt(inputs: np.ndarray) -> None:
    labels = inputs[:, 0, 0, :3].argmax(1)
    fitted = fit_logistic_regression(inputs, labels, iterations=50)
    found = outputs(to_onnx(fitted, GIVEN), inputs).argmax(1)
    assert (found == labels).mean() > 0.8


def test_the_baseline_of_two_classes_has_two_logits(inputs: np.ndarray) -> None:
    labels = (inputs[:, 0, 0, 0] > 0).astype(np.int64)
    found = outputs(to_onnx(fit_logistic_regression(inputs, labels, iterations=50), GIVEN), inputs)
    assert found.shape == (300, 2)
    assert (found.argmax(1) == labels).mean() > 0.9


def test_a_solver_that_was_stopped_says_so(inputs: np.ndarray) -> None:
    labels = (inputs[:, 0, 0, 0] > 0).astype(np.int64)
    assert not fit_logistic_regression(inputs, labels, iterations=2).converged
    assert fit_logistic_regression(inputs, labels, iterations=500).converged
