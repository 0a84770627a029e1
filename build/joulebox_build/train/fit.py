"""One training loop, for teacher and student."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import pickle
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
from joulebox_build.files import replace_atomically
from joulebox_build.progress import Progress
from joulebox_build.recipe import Training
from joulebox_build.train.best import Best, stalled
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
        checkpoint: kept after each epoch, and gone on from where it is there: with the same weights in the end.

    Raises:
        RecipeError: it would hold more memory than the recipe allows.
    """
    _check_memory(network, lesson, training, progress)
    deterministic()
    keep_freed_memory()
    network.to(device())
    order = torch.Generator().manual_seed(lesson.seed)
    steps = -(-lesson.samples // training.batch)
    optimizer, schedule = optimizer_of(network, training, steps)
    average, best = moving_average(network, training.average), Best()
    parts: list[Stateful] = [network, optimizer, schedule, best, *([] if average is None else [average])]
    shown = network if average is None else average.module
    history = [] if checkpoint is None else _resume(checkpoint, parts, order)
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
        loss = _epoch(
            network, lesson, torch.randperm(lesson.samples, generator=order).split(training.batch), step, len(history)
        )
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
    return float(np.mean(losses))


def _check_memory(network: nn.Module, lesson: Lesson, training: Training, progress: Progress) -> None:
    example = as_tensor(lesson.encode(lesson.validation.inputs[:2]))
    need = needed(network, example, training, lesson.data_bytes)
    need.check(training.memory_mib)
    progress.say(need.describe())


def _keep(path: Path, parts: list[Stateful], order: torch.Generator, history: list[Epoch]) -> None:
    epochs = [vars(epoch) for epoch in history]
    state = {"parts": [part.state_dict() for part in parts], "order": order.get_state(), "history": epochs}
    replace_atomically(path, lambda temporary: torch.save(state, temporary))


def _resume(path: Path, parts: list[Stateful], order: torch.Generator) -> list[Epoch]:
    """Takes up what was kept; where that is nothing, or damaged, training starts from the beginning."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return []
    for part, kept in zip(parts, state["parts"], strict=True):
        part.load_state_dict(kept)
    order.set_state(state["order"])
    return [Epoch(**epoch) for epoch in state["history"]]


def as_dicts(history: list[Epoch]) -> list[dict[str, float]]:
    """What is the same on every run."""
    return [{"loss": epoch.loss, "validation_accuracy": epoch.validation_accuracy} for epoch in history]


def accuracies(history: list[Epoch]) -> list[float]:
    return [epoch.validation_accuracy for epoch in history]


def seconds(history: list[Epoch]) -> float:
    """Wall time, that before an interruption included."""
    return sum(epoch.seconds for epoch in history)
