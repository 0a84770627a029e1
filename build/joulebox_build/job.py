"""A job: one profile of one recipe with all that its stages work on, and the digests that go into their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.graph.inference import normalized
from joulebox_build.provenance import libraries, sources
from joulebox_build.recipe import Profile, Recipe
from joulebox_build.stage import Artifact, Make, Stages
from joulebox_build.train.model import ModelFolder, check_networks, load_data, load_folder
from joulebox_build.train.teacher import weights_path

STAGES = {  # stage to the modules with its code; those that they import count too
    "teacher": ("graph.export", "train.teacher"),
    "teacher-logits": ("train.teacher", "train.views"),
    "distill": ("train.distill", "train.fit", "train.views"),
    "export": ("graph.export",),
    "quantize": ("graph.inference", "compress.quantize"),
    "baseline": ("judge.baseline", "graph.inference"),
    "calibrate": ("judge.calibration", "graph.inference"),
    "evaluate": ("judge.quality",),
    "measure": ("judge.cost",),
    "duplicates": ("data.dataset",),
}
IN_LINEAGE = ("teacher", "teacher-logits", "distill", "export", "quantize", "baseline", "calibrate")


@dataclass(frozen=True)
class Job:
    """What a build works on. `digests` are of the files `recipe`, `model`, `data` and `teacher`, and of each split."""

    recipe: Recipe
    profile_name: str
    profile: Profile
    folder: ModelFolder
    data: Dataset
    digests: Mapping[str, str]
    stages: Stages

    @property
    def shape(self) -> list[int]:
        """Of one input, `[C, H, W]`."""
        image = self.recipe.preprocess
        return [image.channels, image.height, image.width]

    @property
    def train(self) -> Split:
        """The part of the training data that the student sees."""
        return self.data.train.first(self.profile.distill.samples)

    def normalized(self, split: Split) -> NDArray[np.float32]:
        return normalized(split.images, self.recipe.preprocess)

    def run(self, stage: str, inputs: Mapping[str, Any], make: Make, *, of: str = "") -> Artifact:
        """The stage's artifact; see `Stages.run`. The preprocessing is part of every key."""
        described = {**inputs, "preprocess": self.recipe.preprocess.model_dump()}
        return self.stages.run(stage, _sources(stage), described, make, of=of)

    def made_of(self) -> dict[str, Any]:
        """What decides the package's version, as far as it is known before anything runs."""
        return {
            "recipe": {name: self.digests[name] for name in ("recipe", "model", "data")},
            "profile": self.profile_name,
            "teacher": self.digests["teacher"],
            "data": {name: self.digests[name] for name in self.data.splits()},
            "stages": {stage: sha256(canonical(_sources(stage))) for stage in IN_LINEAGE},
            "libraries": libraries(),
        }


def _sources(stage: str) -> dict[str, str]:
    return sources(*(f"joulebox_build.{module}" for module in STAGES[stage]))


def open_job(recipe: Recipe, profile: str, stages: Stages) -> Job:
    """Loads the model folder and its data.

    Raises:
        RecipeError: the profile or a file is missing, or the folder's code is not what it should be.
        DataError: the data cannot be had, or do not fit the recipe.
    """
    chosen = recipe.profile(profile)
    files = {
        "recipe": recipe.file,
        "model": recipe.path(recipe.model),
        "data": recipe.path(recipe.data),
        "teacher": weights_path(recipe),
    }
    folder = load_folder(recipe)
    data = load_data(folder, recipe)
    check_networks(folder, recipe, len(data.labels))
    digests = {name: sha256(path.read_bytes()) for name, path in files.items()}
    digests |= {name: split.digest() for name, split in data.splits().items()}
    return Job(recipe, profile, chosen, folder, data, digests, stages)
