"""Fashion-MNIST networks: a residual teacher and a depthwise-separable student.

Both take `image` float32 `[N, 1, 28, 28]`, normalised as the recipe's preprocessing says,
and give logits `[N, 10]`.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; same padding."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """`x + body(x)` (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def teacher() -> nn.Module:
    """A ResNet-9 of 1.9 M parameters, 83 M multiply-accumulates."""
    width = 32
    return nn.Sequential(
        conv(1, width),
        conv(width, 2 * width),
        nn.MaxPool2d(2),  # 14 x 14
        Residual(conv(2 * width, 2 * width), conv(2 * width, 2 * width)),
        conv(2 * width, 4 * width),
        nn.MaxPool2d(2),  # 7 x 7
        Residual(conv(4 * width, 4 * width), conv(4 * width, 4 * width)),
        conv(4 * width, 8 * width),
        nn.MaxPool2d(2),  # 3 x 3
        Residual(conv(8 * width, 8 * width), conv(8 * width, 8 * width)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, 10),
    )


def separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Depthwise 3 x 3, then pointwise 1 x 1 (MobileNet, Howard et al. 2017, arXiv:1704.04861)."""
    return nn.Sequential(conv(inputs, inputs, stride=stride, groups=inputs), conv(inputs, outputs, size=1))


def student() -> nn.Module:
    """About 55 k parameters, most of them in pointwise convolutions, which int8 engines run fast."""
    return nn.Sequential(
        conv(1, 24),
        conv(24, 32, stride=2),  # 14 x 14
        Residual(separable(32, 32), separable(32, 32)),
        separable(32, 64, stride=2),  # 7 x 7
        Residual(separable(64, 64), separable(64, 64)),
        separable(64, 96, stride=2),  # 4 x 4
        Residual(separable(96, 96), separable(96, 96)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
