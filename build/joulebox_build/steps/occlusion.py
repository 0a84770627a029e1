"""How the shipped model decides, on a few samples of the test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joulebox_build.data.dataset import Inputs
from joulebox_build.finished import Model
from joulebox_build.graph.inference import outputs
from joulebox_build.job import Job
from joulebox_build.judge.calibration import probabilities
from joulebox_build.judge.occlusion import Occlusion, occlusion
from joulebox_build.steps.artifacts import FIGURES, as_json

CLASSES_MAX = 8


def occlusions(job: Job, model: Model, temperature: float, mistakes: Sequence[int]) -> list[Occlusion]:
    """Of the first sample of each class, so that nobody has picked them, and of the test samples in `mistakes`.

    There are none where the data are neither images nor texts.
    """
    test, train = job.data.test, job.data.train
    if test.inputs.dtype == np.float32:
        return []
    chosen = [int(np.argmax(test.labels == label)) for label in range(min(len(job.data.labels), CLASSES_MAX))]
    chosen += [each for each in mistakes if each not in chosen]
    inputs = {
        "model": model.digest,
        "data": [job.digests["test"], job.digests["train"]],
        "temperature": temperature,
        "samples": chosen,
    }

    def ask(samples: Inputs) -> NDArray[np.float64]:
        logits = np.mean([outputs(content, model.given.encode(samples)) for content in model.contents], axis=0)
        return probabilities(logits, temperature)

    def make(_: Path) -> dict[str, bytes]:
        colour = _mean_colour(train.inputs)
        found = [
            occlusion(test.inputs[number : number + 1], int(test.labels[number]), number, colour, ask)
            for number in chosen
        ]
        return {FIGURES: as_json([asdict(each) for each in found])}

    return [Occlusion(**each) for each in job.run("occlude", inputs, make, of=model.name).json(FIGURES)]


def _mean_colour(images: Inputs) -> NDArray[np.uint8]:
    """uint8 `[C]`; of texts, which have none, nothing."""
    if images.dtype == np.object_:
        return np.zeros(0, np.uint8)
    return images.mean((0, 2, 3)).round().astype(np.uint8)
