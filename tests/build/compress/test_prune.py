"""A pruned network is really smaller, computes, meets its target within one step, and is the same one each time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from joulebox_build.compress.channels import multiply_accumulates, prunable, remove, restored
from joulebox_build.compress.prune import Goal, choose, plan_of, ranking, size, without
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import export
from joulebox_build.graph.inference import outputs
from joulebox_build.recipe import Pruning

IMAGE = ModelInput("image", "FP32", (1, 8, 8), np.asarray)
TOKENS = ModelInput("tokens", "INT64", (6,), np.asarray)


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Branches(nn.Module):
    """Concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3)]


def residual() -> nn.Module:
    return nn.Sequential(conv(1, 16), Residual(conv(16, 16)), conv(16, 24), Residual(conv(24, 24)), *head(24))


def grouped() -> nn.Module:
    return nn.Sequential(conv(1, 16), conv(16, 24, groups=2), conv(24, 16), *head(16))


def depthwise() -> nn.Module:
    return nn.Sequential(conv(1, 16), conv(16, 16, groups=16), conv(16, 24), *head(24))


def concatenated() -> nn.Module:
    return nn.Sequential(conv(1, 16), Branches(conv(16, 8), conv(16, 16)), conv(24, 16), *head(16))


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 16, 3), *head(16))


def text() -> nn.Module:
    return nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 32), nn.LayerNorm(32), nn.ReLU(), Mean(), nn.Linear(32, 3))


NETWORKS = {
    "residual": (residual, IMAGE),
    "grouped": (grouped, IMAGE),
    "depthwise": (depthwise, IMAGE),
    "concatenated": (concatenated, IMAGE),
    "normed": (normed, IMAGE),
    "text": (text, TOKENS),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def network(name: str) -> tuple[nn.Module, ModelInput]:
    """With weights and norms that differ from channel to channel."""
    build, given = NETWORKS[name]
    torch.manual_seed(0)
    made = build()
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.5, 1)
    return made.eval(), given


def inputs(given: ModelInput, count: int = 5) -> np.ndarray:
    random = np.random.default_rng(0)
    if given.datatype == "INT64":
        return random.integers(0, 50, (count, *given.shape))
    return random.normal(size=(count, *given.shape)).astype(np.float32)


def half(made: nn.Module, given: ModelInput, settings: Pruning) -> dict[str, list[int]]:
    """The plan for half of the multiply-accumulates."""
    macs = lambda net: multiply_accumulates(net, given)[""]  # noqa: E731
    cuts = ranking(made, given, settings, [made(torch.from_numpy(inputs(given))).square().mean()], seed=0)
    return {name: list(found) for name, found in choose(made, given, cuts, Goal("macs", macs, macs(made) / 2)).items()}


@every_network
def test_what_is_left_computes_in_onnx_runtime_as_in_torch(name: str) -> None:
    made, given = network(name)
    before = size(made, given)
    small = without(made, given, half(made, given, Pruning(macs=0.5)))
    after, example = size(small, given), inputs(given)
    assert after.multiply_accumulates <= before.multiply_accumulates / 2
    assert after.parameters < before.parameters
    exported = export(small, given)
    with torch.inference_mode():
        expected = small.eval()(torch.from_numpy(example)).numpy()
    assert expected.shape == (5, 3)
    assert np.allclose(outputs(exported, example), expected, atol=1e-4, rtol=1e-4)


@every_network
def test_channels_whose_weights_are_zero_go_first_and_change_nothing(name: str) -> None:
    made, given = network(name)
    first = next(each for each in prunable(made, given) if each.width >= 8)
    gone = [first.width - 2, first.width - 1]
    for dep, _ in first.group:  # all that makes, or takes, these channels
        if dep.target.module.__class__.__name__ in {"Conv2d", "Linear", "BatchNorm2d", "Embedding", "GroupNorm"}:
            _blank(dep, first.indices(gone))
    example = torch.from_numpy(inputs(given))
    with torch.inference_mode():
        expected = made(example)
    settings = Pruning(macs=0.5, round_to=2 * first.repeats)
    cuts = [cut for cut in ranking(made, given, settings, [], seed=0) if cut.of.layer == first.layer]
    assert cuts[0].channels == tuple(gone)
    if name not in {"normed", "text"}:  # a norm's mean is over the channels of its group
        small = without(made, given, plan_of(cuts[:1])).eval()
        with torch.inference_mode():
            assert torch.allclose(small(example), expected, atol=1e-4, rtol=1e-4)


def _blank(dep: object, indices: list[int]) -> None:
    module, handler = dep.target.module, dep.handler.__name__  # type: ignore[attr-defined]
    with torch.no_grad():
        if "out_channels" in handler and not isinstance(module, nn.Embedding):
            for parameter in module.parameters():
                parameter[indices] = 0
        elif isinstance(module, nn.Embedding):
            module.weight[:, indices] = 0


@every_network
def test_the_target_is_met_and_one_cut_less_would_miss_it(name: str) -> None:
    made, given = network(name)
    cuts = ranking(made, given, Pruning(macs=0.5), [], seed=0)
    macs = [
        multiply_accumulates(without(made, given, plan_of(cuts[:count])), given)[""] for count in range(len(cuts) + 1)
    ]
    assert macs == sorted(macs, reverse=True)
    plan = half(made, given, Pruning(macs=0.5))
    met = next(count for count, found in enumerate(macs) if found <= macs[0] / 2)
    assert plan == plan_of(cuts[:met])


@every_network
@pytest.mark.parametrize("importance", ["magnitude", "taylor", "random"])
def test_layers_keep_multiples_and_the_head_all_its_outputs(name: str, importance: str) -> None:
    made, given = network(name)
    settings = Pruning.model_validate({"macs": 0.5, "importance": importance, "round_to": 4})
    small = without(made, given, half(made, given, settings))
    assert all(count % 4 == 0 and count > 0 for count in size(small, given).channels.values())
    assert small[-1].out_features == 3
    first = next(module for module in small.modules() if isinstance(module, nn.Conv2d | nn.Embedding))
    assert first.weight.shape[0 if given is TOKENS else 1] == (50 if given is TOKENS else 1)


@every_network
def test_a_fresh_network_and_the_plans_take_the_weights(name: str) -> None:
    made, given = network(name)
    plans = [half(made, given, Pruning(macs=0.5))]
    remove(made, given, plans[0])
    plans.append(half(made, given, Pruning(macs=0.5)))
    remove(made, given, plans[1])
    again = restored(NETWORKS[name][0], given, plans)
    again.load_state_dict(made.state_dict())
    example = torch.from_numpy(inputs(given))
    with torch.inference_mode():
        assert torch.equal(again.eval()(example), made.eval()(example))


SCRIPT = """
kept = [object() for _ in range(12345)]
import sys
from test_prune import plans
sys.stdout.write(plans())
"""


def plans() -> str:
    settings = [Pruning(macs=0.5), Pruning(macs=0.5, importance="taylor")]
    return json.dumps([half(*network(name), each) for each in settings for name in NETWORKS])


def test_another_process_with_other_hashing_and_addresses_makes_the_same_plans() -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == plans()


def test_batch_norms_scales_can_say_which_go() -> None:
    made, given = network("residual")
    with torch.no_grad():
        made[0][1].weight[:] = torch.arange(1.0, 17.0)
        made[1].body[1].weight[:] = torch.arange(1.0, 17.0)
    cuts = ranking(made, given, Pruning(ratio=0.5, importance="batchnorm"), [], seed=0)
    assert [cut.channels for cut in cuts if cut.of.width == 16] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]


def test_a_target_out_of_reach_is_said() -> None:
    made, given = network("residual")
    with pytest.raises(RecipeError, match=r"prune: macs 10 cannot be met: \d+ are left"):
        choose(made, given, ranking(made, given, Pruning(macs=0.5), [], seed=0), Goal("macs", lambda _: 1000, 10))


def untraceable() -> nn.Module:
    class Frozen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().mean((2, 3))

    return Frozen()


def stubborn() -> nn.Module:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(16 * 64, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).reshape(-1, 16 * 64))

    return Written()


@pytest.mark.parametrize(
    ("build", "message"), [(untraceable, "no channels that could go"), (stubborn, "does not work with fewer channels")]
)
def test_a_network_that_cannot_be_pruned_is_refused_in_one_line(build: Callable[[], nn.Module], message: str) -> None:
    made = build()
    with pytest.raises(RecipeError, match=message) as caught:
        choose(made, IMAGE, ranking(made, IMAGE, Pruning(ratio=0.5), [], seed=0), Goal("channels", lambda _: 1, 0))
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_traced_is_refused_in_one_line() -> None:
    with pytest.raises(RecipeError, match=r"cannot be traced by torch-pruning: TypeError: .*; leave prune out$"):
        prunable(nn.Bilinear(8, 8, 3), IMAGE)
