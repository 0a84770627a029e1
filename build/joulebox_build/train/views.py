"""Fixed augmented views of the training inputs, so that the teacher has to look at each only once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs
from joulebox_build.errors import RecipeError
from joulebox_build.train.foldercode import Augment

CHUNK = 5000  # samples at a time, which bounds memory
MIXING = 1  # draws the pairs from numbers of their own, so that the rest of a view is the same without them


@dataclass(frozen=True)
class Mix:
    """Each sample's partner int64 `[N]`, and the sample's own share float32 `[N]`; the partner has the rest."""

    partners: NDArray[np.int64]
    shares: NDArray[np.float32]


def view(inputs: Inputs, number: int, *, seed: int, augment: Augment, mix: Mix | None = None) -> Inputs:
    """The inputs `[N, ...]`, each augmented by itself, and then mixed; the same seed and number give the same view."""
    random = np.random.default_rng([seed, number])
    chunks = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
    seen = np.concatenate([augment(np.array(chunk), random) for chunk in chunks])  # it may change what it is given
    return seen if mix is None else _mixed(seen, mix)


def draw_mix(inputs: Inputs, number: int, *, seed: int, mixup: float) -> Mix | None:
    """The pairs of a view, by shares from Beta(mixup, mixup) (Zhang et al. 2017, arXiv:1710.09412); None where mixup is 0.

    Raises:
        RecipeError: the inputs are texts.
    """
    if mixup == 0:
        return None
    if inputs.dtype == np.object_:
        raise RecipeError(f"distill.mixup: {mixup}; texts cannot be mixed, only images and tensors: leave mixup out")
    random = np.random.default_rng([seed, number, MIXING])
    return Mix(random.permutation(len(inputs)), random.beta(mixup, mixup, len(inputs)).astype(np.float32))


def _mixed(seen: Inputs, mix: Mix) -> Inputs:
    """In the inputs' own type: images stay uint8, so that the device's preprocessing fits them."""
    found = np.empty_like(seen)
    for start in range(0, len(seen), CHUNK):
        part = slice(start, start + CHUNK)
        shares = np.expand_dims(mix.shares[part], tuple(range(1, seen.ndim)))
        both = shares * seen[part] + (1 - shares) * seen[mix.partners[part]]
        found[part] = both if seen.dtype == np.float32 else np.rint(both)
    return found
