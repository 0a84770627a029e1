"""Quantization-aware training: a network whose inputs of layers and whose weights are rounded as int8 will round them.

Gradients pass through the rounding as if it were not there (Bengio et al. 2013, arXiv:1308.3432), within a range that was
seen before training. What is trained is the float network: it is exported and quantized as any other is, so that there is
one way of writing Q/DQ nodes.
"""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from joulebox_build.errors import RecipeError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LAYERS = (*CONVOLUTIONS, nn.Linear)
BATCH = 100
TINY = 1e-8  # of a range, which must not be empty


class Rounded(nn.Module):
    """A convolution or linear layer with a uint8 input, per tensor, and int8 weights, per channel."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.watching = True  # takes in the range of its input, and rounds nothing
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.watching:
            self.low.copy_(torch.minimum(self.low, x.detach().min()))
            self.high.copy_(torch.maximum(self.high, x.detach().max()))
            return self.layer(x)
        weight = _rounded_weight(cast(Tensor, self.layer.weight))
        return torch.func.functional_call(self.layer, {"weight": weight}, (self._rounded(x.float()),))

    def _rounded(self, x: Tensor) -> Tensor:
        scale = (self.high - self.low).clamp(min=TINY) / 255
        zero = (-self.low / scale).round().clamp(0, 255).int()
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


def _rounded_weight(weight: Tensor) -> Tensor:
    scale = weight.detach().abs().flatten(1).amax(1).clamp(min=TINY) / 127
    return torch.fake_quantize_per_channel_affine(weight, scale, torch.zeros_like(scale).int(), 0, -127, 127)


def with_rounding(network: nn.Module, samples: NDArray[Any]) -> nn.Module:
    """A copy with batch norms folded into the convolutions before them, which rounds as int8 does.

    Args:
        samples: encoded inputs `[N, ...]` of the training data, over which layers see their inputs' ranges.

    Raises:
        RecipeError: folding would change what the network computes.
    """
    rounded = _folded(network, torch.from_numpy(samples[:2]))
    wrapped: dict[nn.Module, Rounded] = {}
    for parent, name, child in list(_children(rounded)):
        if type(child) in LAYERS:
            setattr(parent, name, wrapped.setdefault(child, Rounded(child)))
    rounded = wrapped.get(rounded, rounded)
    with torch.inference_mode():
        for start in range(0, len(samples), BATCH):
            rounded(torch.from_numpy(samples[start : start + BATCH]))
    for layer in wrapped.values():
        layer.watching = False
    return rounded


def without_rounding(network: nn.Module) -> nn.Module:
    """The float network inside, to be exported."""
    for parent, name, child in list(_children(network)):
        if isinstance(child, Rounded):
            setattr(parent, name, child.layer)
    return network.layer if isinstance(network, Rounded) else network


def _children(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Parent, name and module, wherever a module is; it may be in several places."""
    for path, module in network.named_modules(remove_duplicate=False):
        parent, _, name = path.rpartition(".")
        if path:
            yield network.get_submodule(parent), name, module


def _folded(network: nn.Module, example: Tensor) -> nn.Module:
    folded = copy.deepcopy(network).eval()
    with torch.inference_mode():
        expected = folded(example)
    for convolution, norm in _pairs(folded, example):
        _replace(folded, convolution, fuse_conv_bn_eval(convolution, norm))
        _replace(folded, norm, nn.Identity())
    with torch.inference_mode():
        found = folded(example)
    if not np.allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-3):
        raise RecipeError("quantize.qat: batch norms of student() cannot be folded into the convolutions before them")
    return folded


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[Any, Any]]:
    """Convolutions and the batch norms that take what they give, as a run of the network shows."""
    given: list[tuple[Tensor, nn.Module]] = []
    pairs: list[tuple[Any, Any]] = []

    def after(module: nn.Module, _: Any, output: Tensor) -> None:
        given.append((output, module))

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pairs.extend((convolution, module) for output, convolution in given if output is inputs[0])

    handles = [module.register_forward_hook(after) for module in network.modules() if type(module) in CONVOLUTIONS]
    handles += [module.register_forward_pre_hook(before) for module in network.modules() if type(module) in NORMS]
    with torch.inference_mode():
        network(example)
    for handle in handles:
        handle.remove()
    return pairs


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent, name, child in list(_children(network)):
        if child is old:
            setattr(parent, name, new)
