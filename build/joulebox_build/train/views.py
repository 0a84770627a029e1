"""Fixed augmented views of the training images, so that the teacher has to look at each only once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from joulebox_build.progress import Progress
from joulebox_build.train.model import Augment, batches, logits

CHUNK = 5000  # images at a time, which bounds memory


def view(images: NDArray[np.uint8], number: int, *, seed: int, augment: Augment) -> NDArray[np.uint8]:
    """The images `[N, C, H, W]`, each augmented by itself; the same seed and number give the same view."""
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(drawn)
    return np.concatenate([augment(chunk, generator).numpy() for chunk in batches(images, CHUNK)])


def teacher_logits(
    teacher: nn.Module, images: NDArray[np.uint8], normalize: Callable[[Tensor], Tensor], progress: Progress
) -> NDArray[np.float16]:
    """The teacher's logits `[N, classes]` of a view; half precision keeps three digits, more than a soft target needs."""
    torch.use_deterministic_algorithms(True)
    found: list[NDArray[np.float16]] = []
    for start in range(0, len(images), CHUNK):
        found.append(logits(teacher, images[start : start + CHUNK], normalize).astype(np.float16))
        progress.advance(CHUNK / len(images))
    return np.concatenate(found)
