"""Fixed augmented views of the training inputs, so that the teacher has to look at each only once."""

from __future__ import annotations

import numpy as np

from joulebox_build.data.dataset import Inputs
from joulebox_build.train.model import Augment

CHUNK = 5000  # samples at a time, which bounds memory


def view(inputs: Inputs, number: int, *, seed: int, augment: Augment) -> Inputs:
    """The inputs `[N, ...]`, each augmented by itself; the same seed and number give the same view."""
    random = np.random.default_rng([seed, number])
    chunks = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
    return np.concatenate([augment(chunk, random) for chunk in chunks])
