"""Corruptions of inputs, as the way to a model may bring: after Hendrycks and Dietterich 2019, arXiv:1903.12261.

The same seed, kind and severity give the same bytes. Images stay uint8, and texts stay texts, so that all of the model's own
preprocessing comes after.
"""

# scipy annotates only part of itself.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from joulebox_build.data.dataset import Inputs
from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Corruption

CHUNK = 1000  # samples at a time, which bounds memory

# What a severity from 1 to 5 means.
NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)  # standard deviation, of the range of a pixel, or of that of the data
BLUR = (0.015, 0.025, 0.035, 0.05, 0.07)  # standard deviation of a Gaussian, of the shorter side
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # what is left of the distance from an image's mean
BRIGHTNESS = (0.05, 0.1, 0.2, 0.3, 0.4)  # added or taken off, of the range of a pixel
SHIFT = (0.04, 0.07, 0.11, 0.15, 0.2)  # of each side at most; what comes in repeats the edge
TYPOS = (0.01, 0.02, 0.05, 0.1, 0.2)  # of the letters: swapped with the next one, left out, doubled or another one
DROPPED = (0.05, 0.1, 0.2, 0.3, 0.4)  # of the words; one stays at least
CASE = (0.05, 0.1, 0.25, 0.5, 1.0)  # of the letters, to the other case

LETTERS = "abcdefghijklmnopqrstuvwxyz"

Pixels = NDArray[np.float32]
Corrupt = Callable[[Any, float, np.random.Generator], Any]


def corrupted(inputs: Inputs, corruption: Corruption, *, seed: int) -> Inputs:
    """The same samples with the corruption, each by chance of its own."""
    kind, level = corruption.kind, corruption.severity - 1
    random = np.random.default_rng([seed, zlib.crc32(kind.encode()), level])
    if inputs.dtype == np.object_:
        change, levels = OF_TEXTS[kind]
        return np.asarray([change(text, levels[level], random) for text in inputs], np.object_)
    if inputs.dtype == np.float32:
        spread = NOISE[level] * float(inputs.std())
        return inputs + random.standard_normal(inputs.shape, np.float32) * np.float32(spread)
    change, levels = OF_IMAGES[kind]
    parts = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
    return np.concatenate([_as_pixels(change(part.astype(np.float32), levels[level], random)) for part in parts])


def check_corruptions(corruptions: Sequence[Corruption], inputs: Inputs) -> None:
    """Whether they suit the data.

    Raises:
        RecipeError: one does not.
    """
    known = {"uint8": ("images", [*OF_IMAGES]), "object": ("texts", [*OF_TEXTS])}
    what, kinds = known.get(str(inputs.dtype), ("tensors", ["noise"]))
    for corruption in corruptions:
        if corruption.kind not in kinds:
            raise RecipeError(f"corruptions: {corruption.kind!r} is not for {what}; expected one of {', '.join(kinds)}")


def _as_pixels(values: Pixels) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _noise(images: Pixels, level: float, random: np.random.Generator) -> Pixels:
    return images + random.standard_normal(images.shape, np.float32) * np.float32(255 * level)


def _blur(images: Pixels, level: float, _: np.random.Generator) -> Pixels:
    sigma = level * min(images.shape[2:])
    blurred: Any = gaussian_filter(images, (0, 0, sigma, sigma), mode="nearest")
    return blurred


def _contrast(images: Pixels, level: float, _: np.random.Generator) -> Pixels:
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * np.float32(level)


def _brightness(images: Pixels, level: float, random: np.random.Generator) -> Pixels:
    sign = random.integers(0, 2, (len(images), 1, 1, 1)) * 2 - 1
    return images + (sign * 255 * level).astype(np.float32)


def _shift(images: Pixels, level: float, random: np.random.Generator) -> Pixels:
    count, _, height, width = images.shape

    def drawn(side: int) -> NDArray[np.int64]:
        most = max(1, round(level * side))
        return (np.arange(side) + random.integers(-most, most + 1, (count, 1))).clip(0, side - 1)

    rows, columns = drawn(height), drawn(width)
    moved = np.take_along_axis(images, rows[:, None, :, None], 2)
    return np.take_along_axis(moved, columns[:, None, None, :], 3)


def _typos(text: str, level: float, random: np.random.Generator) -> str:
    letters, hit = list(text), random.random(len(text)) < level
    for place in np.flatnonzero(hit):
        kind = int(random.integers(0, 4))
        if not letters[place].isalpha():
            continue
        if kind == 0 and place + 1 < len(letters):
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif kind == 1:
            letters[place] = ""
        elif kind == 2:
            letters[place] *= 2
        else:
            letters[place] = LETTERS[int(random.integers(0, len(LETTERS)))]
    return "".join(letters) if "".join(letters).strip() else text


def _dropped_words(text: str, level: float, random: np.random.Generator) -> str:
    words = text.split()
    kept = [word for word, chance in zip(words, random.random(len(words)), strict=True) if chance >= level]
    return " ".join(kept or words[:1])


def _case(text: str, level: float, random: np.random.Generator) -> str:
    chances = random.random(len(text))
    return "".join(
        letter.swapcase() if chance < level else letter for letter, chance in zip(text, chances, strict=True)
    )


OF_IMAGES: Mapping[str, tuple[Corrupt, tuple[float, ...]]] = {
    "noise": (_noise, NOISE),
    "blur": (_blur, BLUR),
    "contrast": (_contrast, CONTRAST),
    "brightness": (_brightness, BRIGHTNESS),
    "shift": (_shift, SHIFT),
}
OF_TEXTS: Mapping[str, tuple[Corrupt, tuple[float, ...]]] = {
    "typos": (_typos, TYPOS),
    "dropped-words": (_dropped_words, DROPPED),
    "case": (_case, CASE),
}
