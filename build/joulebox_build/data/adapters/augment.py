"""What every image, and every text, bears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs


def shifted(images: NDArray[np.uint8], random: np.random.Generator, pixels: int) -> NDArray[np.uint8]:
    """Each image `[N, C, H, W]` by itself, by up to so many pixels in each direction; its edge is repeated."""
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    offsets = random.integers(0, 2 * pixels + 1, (2, count, 1))
    rows: NDArray[np.int64] = np.arange(height, dtype=np.int64) + offsets[0]
    columns: NDArray[np.int64] = np.arange(width, dtype=np.int64) + offsets[1]
    moved = padded[np.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(np.moveaxis(moved, 3, 1))


def thinned(texts: Inputs, random: np.random.Generator, kept: float) -> Inputs:
    """Each text by itself, without some of its words: each stays with this chance, and one at least does."""
    return np.array([_thinned(text, random, kept) for text in texts], object)


def _thinned(text: str, random: np.random.Generator, kept: float) -> str:
    words = text.split()
    stays = random.random(len(words)) < kept
    return " ".join(word for word, stay in zip(words, stays, strict=True) if stay) or text
