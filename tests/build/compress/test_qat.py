"""Training with int8's rounding in the loop: rounds as the quantized model does, and leaves a float network behind."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from joulebox_build.compress.calibrate import calibrate
from joulebox_build.compress.qat import Rounded, with_rounding, without_rounding
from joulebox_build.compress.quantize import prepare, write
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import outputs

GIVEN = ModelInput("image", "FP32", (1, 8, 8), np.asarray)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3))
    norm = net[1]
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return net.eval()


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(150, *GIVEN.shape)).astype(np.float32)


def test_it_answers_as_the_int8_model_does(network: nn.Module, inputs: np.ndarray) -> None:
    prepared = prepare(export(network, GIVEN))
    int8 = outputs(write(prepared, calibrate(prepared, inputs, np.asarray, "min-max")), inputs)
    with torch.inference_mode():
        exact = network(torch.from_numpy(inputs)).numpy()
        rounded = with_rounding(network, inputs).eval()(torch.from_numpy(inputs)).numpy()
    assert np.abs(rounded - int8).max() < 0.5 * np.abs(int8 - exact).max()
    assert np.abs(rounded - exact).max() > 0


def test_gradients_pass_the_rounding_and_the_float_network_comes_out_trained(
    network: nn.Module, inputs: np.ndarray
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rounded = with_rounding(network, inputs).train()
    optimizer = torch.optim.SGD(rounded.parameters(), 0.1)
    labels = torch.from_numpy(np.arange(150) % 3)
    losses: list[float] = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(rounded(torch.from_numpy(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    plain = without_rounding(rounded)
    assert not any(isinstance(module, Rounded) for module in plain.modules())
    operators = [node.op_type for node in onnx.load_model_from_string(export(plain, GIVEN)).graph.node]
    assert [name for name in operators if name in ("Conv", "Gemm", "QuantizeLinear", "BatchNormalization")] == [
        "Conv",
        "Gemm",
    ]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "it works on a copy"


def test_a_layer_that_is_used_twice_is_rounded_once_and_stays_one(inputs: np.ndarray) -> None:
    layer = nn.Linear(64, 64)
    rounded = with_rounding(nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer), inputs)
    assert rounded[1] is rounded[3]
    plain = without_rounding(rounded)
    assert plain[1] is plain[3]
    assert isinstance(plain[1], nn.Linear)


def test_a_norm_that_cannot_be_folded_is_refused_in_one_line(inputs: np.ndarray) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
            nn.init.constant_(self.norm.running_mean, 5.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.conv(x)
            return (self.norm(found) + found).flatten(1)

    with pytest.raises(RecipeError, match="cannot be folded"):
        with_rounding(Branching(), inputs)
