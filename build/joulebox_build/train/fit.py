"""One training loop, for teacher and student."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
from joulebox_build.train.model import Encode, as_tensor, logits, reduced_precision

GRADIENT_NORM_MAX = 2.0  # one bad batch near the schedule's peak could otherwise undo a whole run

Batch = Callable[[int, NDArray[np.int64]], tuple[Inputs, Callable[[Tensor], Tensor]]]
"""From epoch number and sample numbers `[n]`, and nothing else, to inputs `[n, ...]` and the loss as a function of logits."""


class Stateful(Protocol):
    """What a checkpoint holds: the network, its optimizer and the schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Epoch:
    loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Lesson:
    """What a network is trained on; `batch` draws from so many samples, in an order drawn from the seed."""

    samples: int
    batch: Batch
    validation: Split
    encode: Encode
    seed: int
    on_epoch: Callable[[Epoch], None] = lambda _: None


def fit(
    network: nn.Module, lesson: Lesson, training: Training, progress: Progress, checkpoint: Path | None = None
) -> list[Epoch]:
    """Trains the network in place; the same seed on the same machine gives the same weights.

    Args:
        checkpoint: kept after each epoch, and gone on from where it is there: with the same weights in the end.
    """
    torch.use_deterministic_algorithms(True)
    order = torch.Generator().manual_seed(lesson.seed)
    optimizer = _sgd(network, training)
    steps = -(-lesson.samples // training.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, epochs=training.epochs, steps_per_epoch=steps, pct_start=0.2
    )
    parts: list[Stateful] = [network, optimizer, schedule]
    history = [] if checkpoint is None else _resume(checkpoint, parts, order)
    progress.advance(len(history))
    for epoch in range(len(history), training.epochs):
        network.train()
        losses: list[float] = []
        for index in torch.randperm(lesson.samples, generator=order).split(training.batch):
            inputs, loss_of = lesson.batch(epoch, index.numpy())
            with reduced_precision():
                outputs = network(as_tensor(lesson.encode(inputs)))
            loss = loss_of(outputs.float())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM_MAX)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            progress.advance(1 / steps)
        history.append(Epoch(float(np.mean(losses)), _accuracy(network, lesson)))
        progress.say(f"loss {history[-1].loss:.3f}, validation {history[-1].validation_accuracy:.2%}")
        if checkpoint is not None:
            _keep(checkpoint, parts, order, history)
        lesson.on_epoch(history[-1])
    return history


def _accuracy(network: nn.Module, lesson: Lesson) -> float:
    found = logits(network, lesson.validation.inputs, lesson.encode).argmax(1)
    return float((found == lesson.validation.labels).mean())


def _keep(path: Path, parts: list[Stateful], order: torch.Generator, history: list[Epoch]) -> None:
    state = {"parts": [part.state_dict() for part in parts], "order": order.get_state(), "history": as_dicts(history)}
    replace_atomically(path, lambda temporary: torch.save(state, temporary))


def _resume(path: Path, parts: list[Stateful], order: torch.Generator) -> list[Epoch]:
    """Takes up what was kept; where that is nothing, or damaged, training starts from the beginning."""
    try:
        state = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return []
    for part, kept in zip(parts, state["parts"], strict=True):
        part.load_state_dict(kept)
    order.set_state(state["order"])
    return [Epoch(**epoch) for epoch in state["history"]]


def _sgd(network: nn.Module, training: Training) -> torch.optim.SGD:
    """Weight decay on weights alone: on biases and norms it only hurts (He et al. 2018, arXiv:1812.01187)."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, training.learning_rate, momentum=0.9, nesterov=True)


def as_dicts(history: list[Epoch]) -> list[dict[str, float]]:
    return [asdict(epoch) for epoch in history]
