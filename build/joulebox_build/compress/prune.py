"""Structured pruning: which channels go so that a network becomes as small as asked, the least important first.

Channels that depend on each other go together (Fang et al. 2023, arXiv:2301.12900). They are ranked over all layers by
importance for what each saves, and the shortest part of that ranking that meets the target goes.
"""

# torch-pruning has no types, and torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import bisect
import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_pruning.pruner import importance

from joulebox_build.compress.channels import Channels, Plan, multiply_accumulates, prunable, remove
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Pruning
from joulebox_build.train.model import parameters

WIDE = 64  # channels from which a layer is worth multiples of 8


@dataclass(frozen=True)
class Size:
    """What a network has; multiply-accumulates are of one sample, channels of each layer that may lose some."""

    parameters: int
    multiply_accumulates: int
    channels: dict[str, int]


@dataclass(frozen=True)
class Goal:
    """Something to be measured of a network that falls as channels go, and what it has to come down to."""

    name: str
    measure: Callable[[nn.Module], float]
    limit: float


@dataclass(frozen=True)
class Cut:
    """Channels of a layer that go in one step, and what is lost for what is saved."""

    of: Channels
    channels: tuple[int, ...]
    cost: float


def size(network: nn.Module, given: ModelInput) -> Size:
    """Of the network as it is."""
    return Size(
        parameters=parameters(network),
        multiply_accumulates=multiply_accumulates(network, given)[""],
        channels={each.layer: each.width * each.repeats for each in prunable(network, given)},
    )


def ranking(network: nn.Module, given: ModelInput, settings: Pruning, losses: Iterable[Tensor], seed: int) -> list[Cut]:
    """All that could go, what costs least first; each layer keeps one multiple of `round_to`.

    Args:
        losses: of batches of the training data, for `importance: taylor` alone.
        seed: of `importance: random`.

    Raises:
        RecipeError: the network cannot be traced, or has nothing that could go.
    """
    score = _scorer(network, settings, losses, seed)
    saved = _savings(network, given, settings)
    found = prunable(network, given)
    multiple = settings.round_to or (8 if any(each.width * each.repeats >= WIDE for each in found) else 4)
    cuts: list[Cut] = []
    for each in found:
        scores = score(each.group)
        if scores is None:  # nothing in it has weights
            continue
        by_channel = scores.double().view(each.repeats, each.width).sum(0)
        cuts += _cuts(each, by_channel, multiple, saved(each))
    if not cuts:
        raise RecipeError(f"prune: student() has no channels that could go in steps of {multiple}; leave prune out")
    return sorted(cuts, key=lambda cut: cut.cost)


def _cuts(of: Channels, scores: Tensor, multiple: int, saved: float) -> list[Cut]:
    """Down to one multiple; the first cut takes what is above the next one."""
    step = max(1, multiple // of.repeats)
    order = torch.argsort(scores, stable=True).tolist()
    starts = [0, *range(of.width % step or step, of.width - step + 1, step)]
    blocks = [order[start:end] for start, end in itertools.pairwise(starts)]
    return [Cut(of, tuple(sorted(block)), float(scores[block].mean()) / saved) for block in blocks]


def _scorer(
    network: nn.Module, settings: Pruning, losses: Iterable[Tensor], seed: int
) -> Callable[[Any], Tensor | None]:
    """Importance by channel. That of magnitudes is relative to the layer's mean, as layers differ in scale."""
    if settings.importance == "taylor":
        network.zero_grad()
        for loss in losses:
            loss.backward()
        plain: Any = None  # no normalizer: what is lost is comparable between layers as it is
        return importance.GroupTaylorImportance(group_reduction="sum", normalizer=plain)
    if settings.importance == "random":
        torch.manual_seed(seed)
        return importance.RandomImportance()
    return (
        importance.BNScaleImportance() if settings.importance == "batchnorm" else importance.GroupMagnitudeImportance()
    )


def _savings(network: nn.Module, given: ModelInput, settings: Pruning) -> Callable[[Channels], float]:
    """What one channel saves, with all that depends on it: of multiply-accumulates, weights, or just itself."""
    counted = multiply_accumulates(network, given)
    names = {module: name for name, module in network.named_modules()}

    def weigh(module: nn.Module) -> float:
        if settings.bytes is not None:
            return sum(parameter.numel() for parameter in module.parameters(recurse=False))
        return counted.get(names[module], 0)

    def saved(of: Channels) -> float:
        if settings.ratio is not None:
            return 1.0
        layers = [dep.target.module for dep, _ in of.group if isinstance(dep.target.module, nn.Module)]
        return max(1.0, sum(weigh(layer) for layer in layers if layer in names) / of.width)

    return saved


def choose(network: nn.Module, given: ModelInput, cuts: Sequence[Cut], goal: Goal) -> Plan:
    """As few of the cuts as meet the goal.

    Raises:
        RecipeError: not even all of them do.
    """

    def met(count: int) -> bool:
        return goal.measure(without(network, given, plan_of(cuts[:count]))) <= goal.limit

    count = bisect.bisect_left(range(len(cuts) + 1), True, key=met)
    if count > len(cuts):
        least = goal.measure(without(network, given, plan_of(cuts)))
        raise RecipeError(
            f"prune: {goal.name} {goal.limit:g} cannot be met: {least:g} are left where each layer keeps its last "
            "channels; ask for less, lower round_to, or make student() smaller"
        )
    return plan_of(cuts[:count])


def without(network: nn.Module, given: ModelInput, plan: Plan) -> nn.Module:
    """A copy of the network that lacks the plan's channels."""
    smaller = copy.deepcopy(network)
    remove(smaller, given, plan)
    return smaller


def plan_of(cuts: Sequence[Cut]) -> Plan:
    """The cuts as one plan, in the layers' numbering before any of them."""
    chosen: dict[str, tuple[Channels, list[int]]] = {}
    for cut in cuts:
        chosen.setdefault(cut.of.layer, (cut.of, []))[1].extend(cut.channels)
    return {layer: of.indices(channels) for layer, (of, channels) in sorted(chosen.items())}
