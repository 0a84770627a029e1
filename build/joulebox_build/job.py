"""A job: one profile of one recipe with all that its stages work on, and the digests that go into their keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.corruption import check_corruptions
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.data.encode import ModelInput
from joulebox_build.judge.baseline import suitable
from joulebox_build.provenance import libraries, sources
from joulebox_build.recipe import Member, Profile, Recipe
from joulebox_build.stage import Artifact, Make, Stages
from joulebox_build.train.fit import Epoch
from joulebox_build.train.model import ModelFolder, check_network, load_data, load_folder
from joulebox_build.train.teacher import member_path

STAGES = {  # stage to the modules with its code; those that they import count too
    "teacher": ("train.teacher",),
    "teach": ("graph.inference", "train.views"),
    "distill": ("train.distill", "train.fit", "train.hints", "train.views"),
    "prune": ("compress.prune", "train.distill", "train.fit", "train.views", "graph.export", "judge.cost"),
    "export": ("graph.export", "compress.channels"),
    "qat": ("compress.qat", "train.distill", "train.fit", "train.views", "graph.export"),
    "quantize": ("compress.choice",),
    "variant": ("compress.weights", "compress.halves"),
    "baseline": ("judge.linear", "judge.boosting", "judge.tfidf"),
    "answer": ("graph.inference",),
    "calibrate": ("judge.calibration",),
    "evaluate": ("judge.quality",),
    "corrupt": ("data.corruption", "graph.inference"),
    "memory": ("graph.memory",),
    "measure": ("judge.cost",),
    "speedup": ("judge.speed",),
    "duplicates": ("data.dataset",),
    "occlude": ("judge.occlusion", "judge.calibration", "graph.inference"),
}
IN_LINEAGE = (
    "teacher",
    "teach",
    "distill",
    "prune",
    "export",
    "qat",
    "quantize",
    "variant",
    "baseline",
    "answer",
    "calibrate",
)


@dataclass(frozen=True)
class Job:
    """What a build works on. `digests` are of the files `recipe`, `model` and `data`, of each split, and of the teachers."""

    recipe: Recipe
    profile_name: str
    profile: Profile
    folder: ModelFolder
    data: Dataset
    given: ModelInput
    teacher_given: ModelInput
    digests: Mapping[str, str]
    stages: Stages
    on_epoch: Callable[[Epoch], None] = lambda _: None  # after each epoch in which the student was trained

    @property
    def train(self) -> Split:
        """The part of the training data that the student sees."""
        return self.data.train.first(self.profile.distill.samples)

    @property
    def members(self) -> list[Member]:
        """The teachers of this profile."""
        return self.recipe.teacher.members[: self.profile.distill.members]

    @property
    def student(self) -> Callable[[], nn.Module]:
        """The student as this profile has it."""
        return functools.partial(self.folder.student, **self.profile.student)

    def run(self, stage: str, inputs: Mapping[str, Any], make: Make, *, of: str = "") -> Artifact:
        """The stage's artifact; see `Stages.run`. The preprocessing is part of every key."""
        preprocess = self.recipe.preprocess and self.recipe.preprocess.model_dump()
        return self.stages.run(stage, _sources(stage), {**inputs, "preprocess": preprocess}, make, of=of)

    def made_of(self) -> dict[str, Any]:
        """What decides the package's version, as far as it is known before anything runs."""
        return {
            "recipe": {name: self.digests[name] for name in ("recipe", "model", "data")},
            "profile": self.profile_name,
            "teacher": [self.digests[str(member.file)] for member in self.members],
            "data": {name: self.digests[name] for name in (*self.data.splits(), "unlabelled") if name in self.digests},
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
    members = recipe.teacher.members[: chosen.distill.members]
    files = {"recipe": recipe.file, "model": recipe.path(recipe.model), "data": recipe.path(recipe.data)}
    files |= {str(member.file): member_path(recipe, member) for member in members}
    digests = {name: sha256(path.read_bytes()) for name, path in files.items()}
    folder = load_folder(recipe)
    data, given = load_data(folder, recipe)
    check_corruptions(chosen.corruptions, data.train.inputs)
    suitable(chosen.baselines, data.train.inputs, given)
    teacher_given = folder.teacher_input(given, data)
    check_network("student", functools.partial(folder.student, **chosen.student), given, len(data.labels))
    if any(member.weights for member in members):
        check_network("teacher", folder.teacher, teacher_given, len(data.labels))
    digests |= {name: split.digest() for name, split in data.splits().items()}
    if data.unlabelled is not None:
        digests["unlabelled"] = Split(data.unlabelled, np.zeros(0, np.int64)).digest()
    return Job(recipe, profile, chosen, folder, data, given, teacher_given, digests, stages)
