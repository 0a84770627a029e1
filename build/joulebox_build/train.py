"""One training loop, for teacher and student."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from joulebox_build.dataset import Split
from joulebox_build.files import replace_atomically
from joulebox_build.model import logits, reduced_precision
from joulebox_build.progress import Progress
from joulebox_build.recipe import Training

GRADIENT_NORM_MAX = 2.0  # one bad batch near the schedule's peak could otherwise undo a whole run

Batch = Callable[[int, Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]]
"""From epoch number and sample numbers `[n]` to images uint8 `[n, C, H, W]` and the loss as a function of logits."""


class Stateful(Protocol):
    """What a checkpoint holds: the network, its optimizer and the schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Epoch:
    loss: float
    validation_accuracy: float


def fit(
    network: nn.Module,
    batch: Batch,
    samples: int,
    validation: Split,
    normalize: Callable[[Tensor], Tensor],
    training: Training,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Trains the network in place; the same seed on the same machine gives the same weights.

    Args:
        checkpoint: kept after each epoch, and gone on from where it is there: with the same weights in the end,
            as long as `batch` depends on epoch and sample numbers alone.
    """
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    order = torch.Generator().manual_seed(seed)
    steps = -(-samples // training.batch)
    optimizer = _sgd(network, training)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, epochs=training.epochs, steps_per_epoch=steps, pct_start=0.2
    )
    history: list[Epoch] = []
    parts: list[Stateful] = [network, optimizer, schedule]
    if checkpoint is not None:
        history = _resume(checkpoint, parts, order)
        progress.advance(len(history))
    for epoch in range(len(history), training.epochs):
        network.train()
        losses: list[float] = []
        for index in torch.randperm(samples, generator=order).split(training.batch):
            images, loss_of = batch(epoch, index)
            with reduced_precision():
                outputs = network(normalize(images))
            loss = loss_of(outputs.float())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM_MAX)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            progress.advance(1 / steps)
        accuracy = float((logits(network, validation.images, normalize).argmax(1) == validation.labels).mean())
        history.append(Epoch(float(np.mean(losses)), accuracy))
        progress.say(f"loss {history[-1].loss:.3f}, validation {accuracy:.2%}")
        if checkpoint is not None:
            _keep(checkpoint, parts, order, history)
    return history


def _keep(path: Path, parts: list[Stateful], order: torch.Generator, history: list[Epoch]) -> None:
    state = {"parts": [part.state_dict() for part in parts], "order": order.get_state(), "history": as_json(history)}
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


def as_json(history: list[Epoch]) -> list[dict[str, float]]:
    return [asdict(epoch) for epoch in history]
