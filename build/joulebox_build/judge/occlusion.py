"""How a model decides: what its answer loses where a part of the input is hidden (Zeiler and Fergus 2014, arXiv:1311.2901)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs

GRID = 14  # places of the patch along a side; the patch is as wide as 3.5 of them
PATCH = 0.25  # of the side
WORDS_MAX = 100
WORD = re.compile(r"\S+")

Probabilities = Callable[[Inputs], NDArray[np.float64]]
"""From samples `[N, ...]` to the probability of each class `[N, classes]`."""


@dataclass(frozen=True)
class Occlusion:
    """One sample by its number in its split, its class, the answer and its probability, and what hiding changes of that.

    `drops[row][column]` is by how much the probability falls (negative: rises) with a patch around that place of an image,
    or, in one row, without each word of a text.
    """

    sample: int
    label: int
    answer: int
    confidence: float
    drops: list[list[float]]


def occlusion(inputs: Inputs, label: int, sample: int, colour: NDArray[np.uint8], ask: Probabilities) -> Occlusion:
    """Of one sample, `inputs` `[1, ...]`.

    Args:
        colour: of the patch, uint8 `[C]`: the mean colour of the training data says least.
    """
    (before,) = ask(inputs)
    answer = int(before.argmax())
    hidden = _without_words(inputs[0]) if inputs.dtype == np.object_ else _patched(inputs[0], colour)
    after = ask(hidden)[:, answer] if len(hidden) else np.zeros(0)
    drops = [round(float(before[answer] - each), 3) for each in after]
    width = len(drops) if inputs.dtype == np.object_ else GRID
    rows = [drops[start : start + width] for start in range(0, len(drops), max(1, width))]
    return Occlusion(sample, label, answer, float(before[answer]), rows or [[]])


def words_of(text: str) -> list[str]:
    """The words that are left out one by one."""
    return WORD.findall(text)[:WORDS_MAX]


def _without_words(text: str) -> Inputs:
    places = [match.span() for match in WORD.finditer(text)][:WORDS_MAX]
    return np.asarray([text[:start] + text[end:] for start, end in places], object)


def _patched(image: NDArray[np.uint8], colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image `[C, H, W]` with a patch around each of GRID x GRID places, row by row."""
    _, height, width = image.shape
    patched = np.repeat(image[None], GRID * GRID, 0)
    for number in range(GRID * GRID):
        rows, columns = _span(number // GRID, height), _span(number % GRID, width)
        patched[number, :, rows, columns] = colour[:, None, None]
    return patched


def _span(place: int, side: int) -> slice:
    middle, half = (place + 0.5) * side / GRID, max(0.5, side * PATCH / 2)
    return slice(max(0, round(middle - half)), min(side, round(middle + half)))
