"""One training loop, for teacher and student."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from joulebox_build.data.dataset import Inputs, Split
from joulebox_build.errors import RecipeError
from joulebox_build.progress import Progress
from joulebox_build.recipe import Training
from joulebox_build.train.best import Best, stalled
from joulebox_build.train.checkpoint import keep, kept
from joulebox_build.train.device import deterministic, device, keep_freed_memory, reduced_precision
from joulebox_build.train.foldercode import Encode
from joulebox_build.train.memory import needed
from joulebox_build.train.model import accuracy, as_tensor
from joulebox_build.train.optimizer import moving_average, optimizer_of

GRADIENT_NORM_MAX = 2.0  # one bad batch near the schedule's peak could otherwise undo a whole run

Batch = Callable[[int, NDArray[np.int64]], tuple[Inputs, Callable[[Tensor], Tensor]]]
"""From epoch number and sample numbers `[n]`, and nothing else, to inputs `[n, ...]` and the loss as a function of logits."""


class Stateful(Protocol):
    """What a checkpoint holds: the network, its optimizer and the schedule, the best weights and their average."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Epoch:
    """`seconds` are this machine's, and no part of what training gives."""

    loss: float
    validation_accuracy: float
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Lesson:
    """What a network is trained on; `batch` draws from so many samples, in an order drawn from the seed."""

    samples: int
    batch: Batch
    validation: Split
    encode: Encode
    seed: int
    data_bytes: int = 0  # that `batch` holds
    on_epoch: Callable[[Epoch], None] = lambda _: None


def fit(
    network: nn.Module, lesson: Lesson, training: Training, progress: Progress, checkpoint: Path | None = None
) -> list[Epoch]:
    """Trains the network in place; the same seed on the same machine gives the same weights.

    It ends with the last epoch's weights, or where there is a `patience`, with those of the best.

    Args:
        checkpoint: kept after each epoch, and gone on from where it is there: with the same weights in the end. The lesson is
            then told of the epochs before it, too.

    Raises:
        RecipeError: it would hold more memory than the recipe allows, or the loss is no finite number.
    """
    _check_memory(network, lesson, training, progress)
    deterministic()
    keep_freed_memory()
    network.to(device())
    order = torch.Generator().manual_seed(lesson.seed)
    sizes = batch_sizes(lesson.samples, training.batch)
    steps = len(sizes)
    optimizer, schedule = optimizer_of(network, training, steps)
    average, best = moving_average(network, training.average), Best()
    parts: list[Stateful] = [network, optimizer, schedule, best, *([] if average is None else [average])]
    shown = network if average is None else average.module
    history = _resume(checkpoint, parts, order, lesson)
    progress.advance(len(history))

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM_MAX)
        optimizer.step()
        schedule.step()
        if average is not None:
            average.update_parameters(network)
        progress.advance(1 / steps)

    while len(history) < training.epochs and not stalled(accuracies(history), training.patience):
        started = time.monotonic()
        batches = torch.randperm(lesson.samples, generator=order).split(sizes)
        loss = _epoch(network, lesson, batches, step, len(history))
        _check_loss(loss, training, len(history) + 1)
        right = accuracy(shown, lesson.validation, lesson.encode)
        history.append(Epoch(loss, right, time.monotonic() - started))
        if training.patience is not None:
            best.see(shown, right)
        progress.say(f"loss {loss:.3f}, validation {right:.2%}")
        if checkpoint is not None:
            _keep(checkpoint, parts, order, history)
        lesson.on_epoch(history[-1])
    if training.patience is not None:
        best.put_into(network)
    elif average is not None:
        network.load_state_dict(average.module.state_dict())
    network.cpu()
    return history


def batch_sizes(samples: int, batch: int) -> list[int]:
    """Of an epoch. What is left over is a batch, too, but for a single sample: norms have no spread of one, it joins the last."""
    whole, left = divmod(samples, batch)
    sizes = [batch] * whole + [left] * (left > 0)
    return [*sizes[:-2], batch + 1] if left == 1 and whole else sizes


def _epoch(
    network: nn.Module, lesson: Lesson, batches: Sequence[Tensor], step: Callable[[Tensor], None], number: int
) -> float:
    """The mean loss over batches of sample numbers, after each of which a step is taken."""
    network.train()
    torch.manual_seed(lesson.seed + number)  # what the network draws, as dropout does, is the same after a killed build
    where, losses = device(), list[float]()
    for index in batches:
        inputs, loss_of = lesson.batch(number, index.numpy())
        with reduced_precision(where):
            outputs = network(as_tensor(lesson.encode(inputs)).to(where))
        loss = loss_of(outputs.float())
        step(loss)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break  # no weight is a number any more, so neither is the mean
    return float(np.mean(losses))


def _check_loss(loss: float, training: Training, epoch: int) -> None:
    if not math.isfinite(loss):
        raise RecipeError(
            f"learning_rate: {training.learning_rate}; in epoch {epoch} the loss was {loss}: "
            "make the rate smaller, or see what the network makes of its inputs"
        )


def _check_memory(network: nn.Module, lesson: Lesson, training: Training, progress: Progress) -> None:
    example = as_tensor(lesson.encode(lesson.validation.inputs[:2]))
    need = needed(network, example, training, lesson.data_bytes)
    need.check(training.memory_mib)
    progress.say(need.describe())


def _keep(path: Path, parts: list[Stateful], order: torch.Generator, history: list[Epoch]) -> None:
    epochs = [vars(epoch) for epoch in history]
    states = [part.state_dict() for part in parts]
    keep(path, {"parts": states, "order": order.get_state(), "history": epochs})


def _resume(path: Path | None, parts: list[Stateful], order: torch.Generator, lesson: Lesson) -> list[Epoch]:
    """Takes up what was kept, and tells it again; where that is nothing, or damaged, training starts from the beginning."""
    state = None if path is None else kept(path)
    if state is None:
        return []
    for part, before in zip(parts, state["parts"], strict=True):
        part.load_state_dict(before)
    order.set_state(state["order"])
    history = [Epoch(**epoch) for epoch in state["history"]]
    for epoch in history:
        lesson.on_epoch(epoch)
    return history


def as_dicts(history: list[Epoch]) -> list[dict[str, float]]:
    """What is the same on every run."""
    return [{"loss": epoch.loss, "validation_accuracy": epoch.validation_accuracy} for epoch in history]


def accuracies(history: list[Epoch]) -> list[float]:
    return [epoch.validation_accuracy for epoch in history]


def seconds(history: list[Epoch]) -> float:
    """Wall time, that before an interruption included."""
    return sum(epoch.seconds for epoch in history)
