"""What every image bears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shifted(images: NDArray[np.uint8], random: np.random.Generator, pixels: int) -> NDArray[np.uint8]:
    """Each image `[N, C, H, W]` by itself, by up to so many pixels in each direction; its edge is repeated."""
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    offsets = random.integers(0, 2 * pixels + 1, (2, count, 1))
    rows: NDArray[np.int64] = np.arange(height, dtype=np.int64) + offsets[0]
    columns: NDArray[np.int64] = np.arange(width, dtype=np.int64) + offsets[1]
    moved = padded[np.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(np.moveaxis(moved, 3, 1))
