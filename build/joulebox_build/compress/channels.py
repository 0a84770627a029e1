"""Channels that have to go together, and taking them out: torch-pruning's dependency graph (arXiv:2301.12900)."""

# torch-pruning has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch_pruning import ops

from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import quiet

ROOTS = (nn.modules.conv._ConvNd, nn.Linear, nn.Embedding)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # torch's only name for all convolutions
FIXED = (nn.MultiheadAttention, nn.LSTM)  # their inner shapes are not channels that can go one by one

Plan = Mapping[str, Sequence[int]]
"""A layer's name to those of its output channels that go, with all that depends on them."""


@dataclass(frozen=True)
class Channels:
    """Output channels of `layer`, and of all that has to keep the same ones.

    The channel n, n + width, n + 2 width, … of as many `repeats` go together: a grouped convolution's groups stay alike.
    """

    layer: str
    width: int
    repeats: int
    group: Any
    """torch-pruning's own, of all of them."""

    def indices(self, chosen: Sequence[int]) -> list[int]:
        """Of the layer's output channels."""
        return sorted(repeat * self.width + channel for repeat in range(self.repeats) for channel in chosen)


def prunable(network: nn.Module, given: ModelInput) -> list[Channels]:
    """All that can go: neither the network's input nor its output.

    Raises:
        RecipeError: the network cannot be traced.
    """
    graph = _graph(network, given)
    names = {module: name for name, module in network.named_modules()}
    groups = [group for group in graph.get_all_groups(root_module_types=ROOTS) if _may_go(group)]
    found: list[Channels] = []
    for group in groups:
        repeats = _repeats(graph, group)
        found.append(Channels(names[group[0].dep.target.module], len(group[0].idxs) // repeats, repeats, group))
    return found


def _may_go(group: Any) -> bool:
    targets = [dep.target for dep, _ in group]
    return not any(
        target.type == ops.OPTYPE.OUTPUT or isinstance(target.module, (*FIXED, nn.Parameter)) for target in targets
    )


def _repeats(graph: Any, group: Any) -> int:
    """Into how many equal groups a convolution or a norm among the layers divides the channels."""
    counts = [1]
    for dep, _ in group:
        module = dep.target.module
        if not isinstance(module, nn.Module) or (isinstance(module, ROOTS[0]) and module.groups == module.out_channels):
            continue  # a depthwise convolution goes channel by channel
        pruner = graph.get_pruner_of_module(module)
        out = graph.is_out_channel_pruning_fn(dep.handler)
        counts.append(pruner.get_out_channel_groups(module) if out else pruner.get_in_channel_groups(module))
    return max(counts)


def remove(network: nn.Module, given: ModelInput, plan: Plan) -> None:
    """Takes the plan's channels out of the network, in place.

    Raises:
        RecipeError: the network cannot be traced, or does not work without them.
    """
    graph, layers = _graph(network, given), dict(network.named_modules())
    with quiet():
        for name, indices in plan.items():
            layer = layers[name]
            pruner = graph.get_pruner_of_module(layer)
            graph.get_pruning_group(layer, pruner.prune_out_channels, list(indices)).prune()
        try:
            with torch.inference_mode():
                network.eval()(_example(given))
        except Exception as error:  # whatever the folder's code raises
            raise RecipeError(
                f"prune: student() does not work with fewer channels, as where it writes their number into forward(): {_line(error)}"
            ) from error


def restored(build: Callable[[], nn.Module], given: ModelInput, plans: Sequence[Plan]) -> nn.Module:
    """A fresh network without what the plans of all rounds took out, one after the other; weights are any."""
    network = build()
    for plan in plans:
        remove(network, given, plan)
    return network


def multiply_accumulates(network: nn.Module, given: ModelInput) -> dict[str, int]:
    """Of one sample, by the module's name, each with what is in it; the whole network's is at ''."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(_example(given))
    counts = {name: sum(by_kind.values()) // 2 for name, by_kind in counter.get_flop_counts().items()}
    root = type(network).__name__
    return {"": counts.get("Global", 0)} | {
        name.removeprefix(f"{root}."): count for name, count in counts.items() if name not in {"Global", root}
    }


def _graph(network: nn.Module, given: ModelInput) -> Any:
    def forward(traced: nn.Module, example: Any) -> Tensor:
        return traced(example) * 1  # a node of its own, by which the groups that reach the output are known

    try:
        with quiet(), torch.enable_grad():
            return torch_pruning.DependencyGraph().build_dependency(
                network, _example(given), forward_fn=forward, verbose=False
            )
    except Exception as error:  # whatever the folder's code raises, and torch-pruning where it does not understand it
        raise RecipeError(
            f"prune: student() cannot be traced by torch-pruning: {_line(error)}; leave prune out"
        ) from error


def _example(given: ModelInput) -> Tensor:
    return torch.zeros((1, *given.shape), dtype=torch.float32 if given.datatype == "FP32" else torch.int64)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]
