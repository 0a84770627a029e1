"""Fashion-MNIST networks: a residual teacher and a small residual student.

Both take `image` float32 `[N, 1, 28, 28]`, normalised as the recipe's preprocessing says,
and give logits `[N, 10]`.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm, ReLU; same padding."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """`x + body(x)` (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Mirrored(nn.Sequential):
    """For inference, the mean of the logits of an image and of its mirror image."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits if self.training else (logits + super().forward(x.flip(3))) / 2


def teacher() -> nn.Module:
    """A ResNet-9 of 1.9 M parameters, 83 M multiply-accumulates for each of the two views of an image."""
    width = 32
    return Mirrored(
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


def student(first: int = 16, second: int = 32, third: int = 36) -> nn.Module:
    """A ResNet of three widths; as it is, 58 k parameters and 10.5 M multiply-accumulates.

    Plain convolutions: int8 engines run them faster than fp32, which they do not for depthwise ones of this size.
    """
    return nn.Sequential(
        conv(1, first),
        conv(first, second),
        nn.MaxPool2d(2),  # 14 x 14
        Residual(conv(second, second), conv(second, second)),
        conv(second, third),
        nn.MaxPool2d(2),  # 7 x 7
        Residual(conv(third, third), conv(third, third)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(third, 10),
    )
