"""MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381) with random weights: a model of its size and shape."""

from __future__ import annotations

import torch
from torch import nn

SHAPE = (3, 224, 224)
STAGES = (  # expansion, channels, blocks, first stride: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Block(nn.Module):
    """An inverted residual with a linear bottleneck."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        expand = [] if expansion == 1 else [unit(channels, wide, 1)]
        narrow = [nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)]
        self.layers = nn.Sequential(*expand, unit(wide, wide, 3, stride, groups=wide), *narrow)
        self.residual = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def unit(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6())


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """In evaluation mode, its batch norms set by one batch of noise so that activations keep their scale."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [unit(3, 32, 3, 2)]
    channels = 32
    for expansion, out, blocks, first_stride in STAGES:
        for number in range(blocks):
            layers.append(Block(channels, out, 1 if number else first_stride, expansion))
            channels = out
    head = [unit(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    network = nn.Sequential(*layers, *head)
    for norm in (each for each in network.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.momentum = None  # the average of what was seen
    with torch.no_grad():
        network.train()(torch.randn(8, *SHAPE))
    return network.eval()
