"""Hints: parts of the student learn to say what parts of the teacher do (FitNets, Romero et al. 2015, arXiv:1412.6550).

A learnt projection brings the student's channels to the teacher's number, and is dropped afterwards. The hints' loss is
added to the others' all along, rather than in a stage before.
"""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, mse_loss

from joulebox_build.data.dataset import Inputs
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Hint
from joulebox_build.train.device import device, device_of, reduced_precision
from joulebox_build.train.fit import Batch
from joulebox_build.train.foldercode import Encode
from joulebox_build.train.model import as_tensor


class Hinted(nn.Module):
    """The student, and for each hint a projection; it answers as the student does."""

    def __init__(self, student: nn.Module, watched: Watched, channels: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.student = student
        self.watched = watched
        self.projections = nn.ModuleList(_projection(own, taught) for own, taught in channels)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.student(inputs)

    def loss(self, taught: Sequence[Tensor]) -> Tensor:
        """The squared distance of what was said last from the teacher's `[n, ...]`, over the mean square of that; the mean."""
        said = self.watched.take()
        apart = [
            _distance(projection, own, features)
            for projection, own, features in zip(self.projections, said, taught, strict=True)
        ]
        return torch.stack(apart).mean()


class Watched:
    """What modules of a network said last, in the order of their names."""

    def __init__(self, network: nn.Module, names: Sequence[str], key: str) -> None:
        self._names = names
        self._said: dict[str, Tensor] = {}
        modules = dict(network.named_modules())
        for name in names:
            if name not in modules:
                raise RecipeError(f"distill.hints: {key}: {name!r} is no module of {key}(); see named_modules()")
            modules[name].register_forward_hook(self._keep(name))

    def take(self) -> list[Tensor]:
        """Forgets it, too."""
        taken = [self._said[name] for name in self._names]
        self._said.clear()
        return taken

    def _keep(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise RecipeError(f"distill.hints: {name!r} gives a {type(output).__name__}; expected one tensor")
            if module.training or not torch.is_grad_enabled():  # not where memory is estimated
                self._said[name] = output

        return hook


def hinted(
    student: nn.Module, teacher: nn.Module, hints: Sequence[Hint], given: tuple[ModelInput, ModelInput], seed: int
) -> tuple[Hinted, Watched]:
    """The student with projections drawn from the seed, and what to read the teacher's features from.

    Args:
        given: what student and teacher take.

    Raises:
        RecipeError: a module is not there, or does not give features `[n, channels, H, W]` or `[n, ..., channels]`.
    """
    own = Watched(student, [hint.student for hint in hints], "student")
    taught = Watched(teacher, [hint.teacher for hint in hints], "teacher")
    for network, input_ in zip((student, teacher), given, strict=True):
        with torch.no_grad():
            network.eval()(as_tensor(np.zeros((2, *input_.shape), input_.dtype)))
    shapes = list(zip(own.take(), taught.take(), strict=True))
    for hint, pair in zip(hints, shapes, strict=True):
        _check(hint, pair)
    torch.manual_seed(seed)
    return Hinted(student, own, shapes), taught


def with_hints(batch: Batch, pupil: Hinted, teacher: tuple[nn.Module, Watched], encode: Encode, weight: float) -> Batch:
    """The same batches, with the hints' loss added by its weight. The teacher looks at each batch as it comes."""
    network, watched = teacher
    network.to(device()).eval()

    def hinting(epoch: int, index: NDArray[np.int64]) -> tuple[Inputs, Callable[[Tensor], Tensor]]:
        inputs, loss_of = batch(epoch, index)
        where = device_of(network)
        with torch.no_grad(), reduced_precision(where):
            network(as_tensor(encode(inputs)).to(where))
        taught = watched.take()
        return inputs, lambda logits: loss_of(logits) + weight * pupil.loss(taught)

    return hinting


def _distance(projection: nn.Module, own: Tensor, taught: Tensor) -> Tensor:
    own, taught = own.float(), taught.float()
    if own.ndim == 4:
        sides = min(own.shape[2], taught.shape[2]), min(own.shape[3], taught.shape[3])
        own, taught = adaptive_avg_pool2d(own, sides), adaptive_avg_pool2d(taught, sides)
    return mse_loss(projection(own), taught) / taught.square().mean().clamp_min(1e-8)


def _projection(own: Tensor, taught: Tensor) -> nn.Module:
    if own.ndim == 4:
        return nn.Conv2d(own.shape[1], taught.shape[1], 1)
    return nn.Linear(own.shape[-1], taught.shape[-1])


def _check(hint: Hint, pair: tuple[Tensor, Tensor]) -> None:
    own, taught = (tuple(each.shape) for each in pair)
    if len(own) == len(taught) and (len(own) in {2, 4} or (len(own) > 2 and own[1:-1] == taught[1:-1])):
        return
    raise RecipeError(
        f"distill.hints: student {hint.student!r} gives {own}, teacher {hint.teacher!r} gives {taught}; "
        "expected features of as many dimensions, [n, channels, H, W] or [n, ..., channels]"
    )
