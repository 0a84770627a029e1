"""How weights follow their gradients: the optimizer, and its learning rate over the steps."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from joulebox_build.recipe import Training

WARM_UP = 0.1  # of the steps, for AdamW
RISE = 0.2  # of the steps, for SGD


def optimizer_of(network: nn.Module, training: Training, steps: int) -> tuple[Optimizer, LRScheduler]:
    """For so many steps an epoch.

    Weight decay on weights alone: on biases and norms it only hurts (He et al. 2018, arXiv:1812.01187).
    """
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if training.optimizer == "adamw":
        adamw = AdamW(groups, training.learning_rate)
        return adamw, _warmed_cosine(adamw, steps * training.epochs)
    sgd = SGD(groups, training.learning_rate, momentum=0.9, nesterov=True)
    total = steps * training.epochs
    rise = (
        0.4 if total == 5 else RISE
    )  # a fifth of five is one step, the first: OneCycleLR would divide by those after it
    return sgd, OneCycleLR(sgd, training.learning_rate, total, pct_start=rise)


def _warmed_cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    warm = max(1, math.ceil(WARM_UP * steps))

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2

    return LambdaLR(optimizer, share)


def moving_average(network: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    """The network with the moving average of its weights and norms, which follows each step; None where decay is 0."""
    if decay == 0:
        return None
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average, use_buffers=True)
