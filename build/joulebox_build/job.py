"""A job: one profile of one recipe with all that its stages work on, and the digests that go into their keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.checks import check_part
from joulebox_build.data.corruption import check_corruptions
from joulebox_build.data.dataset import Dataset, Split
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.judge.baseline import check_memory, suitable
from joulebox_build.provenance import code_of, libraries, stage_code, tokenizers
from joulebox_build.recipe import Member, Profile, Recipe
from joulebox_build.stage import Artifact, Make, Stages
from joulebox_build.train.fit import Epoch
from joulebox_build.train.hints import hinted
from joulebox_build.train.members import Checked, check_members, find_member
from joulebox_build.train.model import ModelFolder, check_network, load_data, load_folder
from joulebox_build.train.teacher import load_weights

STAGES = {  # stage to its steps, and to the modules with its code, of which those that they import count too
    "teacher": ("steps.teach", "train.teacher"),
    "teach": ("steps.teach", "data.encode", "graph.inference", "train.views"),
    "distill": ("steps.student", "steps.teach", "train.distill", "train.fit", "train.hints", "train.views"),
    "prune": (
        "steps.prune",
        "steps.student",
        "steps.teach",
        "compress.prune",
        "train.distill",
        "train.fit",
        "train.views",
        "graph.export",
        "judge.cost",
    ),
    "export": ("steps.student", "graph.export", "compress.channels"),
    "qat": (
        "steps.quantize",
        "steps.student",
        "steps.teach",
        "compress.channels",
        "compress.qat",
        "train.distill",
        "train.fit",
        "train.views",
        "graph.export",
    ),
    "quantize": ("steps.quantize", "compress.choice"),
    "variant": ("steps.variants", "compress.weights", "compress.halves"),
    "baseline": ("steps.baseline", "judge.linear", "judge.boosting", "judge.tfidf"),
    "answer": ("steps.judge", "data.encode", "graph.inference"),
    "calibrate": ("steps.judge", "judge.calibration"),
    "evaluate": ("steps.judge", "judge.quality"),
    "corrupt": ("steps.judge", "data.corruption", "data.encode", "graph.inference"),
    "memory": ("steps.judge", "graph.memory"),
    "measure": ("steps.cost", "judge.cost"),
    "speedup": ("steps.cost", "judge.speed"),
    "duplicates": ("steps.judge", "data.dataset"),
    "occlude": ("steps.occlusion", "data.encode", "judge.occlusion", "judge.calibration", "graph.inference"),
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
    """What a build works on. `digests` are of the file `recipe`, the code `model` and `data`, each split, and the teachers' files."""

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
    before_stage: Callable[[], None] = lambda: None

    @property
    def train(self) -> Split:
        """The part of the training data that the student sees.

        Raises:
            DataError: it has none of some class.
        """
        part = self.data.train.first(self.profile.distill.samples)
        check_part("distill.samples", part.labels, self.data.labels)
        return part

    @property
    def members(self) -> list[Member]:
        """The teachers of this profile."""
        return self.recipe.teacher.members[: self.profile.distill.members]

    @property
    def student(self) -> Callable[[], nn.Module]:
        """The student as this profile has it."""
        return functools.partial(self.folder.student, **self.profile.student)

    @property
    def hinting(self) -> Member:
        """The teacher whose modules give hints: the first one of weights.

        Raises:
            RecipeError: there is none.
        """
        for member in self.members:
            if member.weights is not None:
                return member
        raise RecipeError("distill.hints: they need a teacher with weights; those of this profile are ONNX files")

    def run(self, stage: str, inputs: Mapping[str, Any], make: Make, *, of: str = "") -> Artifact:
        """The stage's artifact; see `Stages.run`. The preprocessing is part of every key."""
        self.before_stage()
        preprocess = self.recipe.preprocess and self.recipe.preprocess.model_dump()
        return self.stages.run(stage, stage_code(*STAGES[stage]), {**inputs, "preprocess": preprocess}, make, of=of)

    def made_of(self) -> dict[str, Any]:
        """What decides the package's version, as far as it is known before anything runs."""
        return {
            "recipe": {name: self.digests[name] for name in ("recipe", "model", "data")},
            "profile": self.profile_name,
            "seeds": {
                "recipe": self.recipe.seed,
                "teacher": [one.seed if one.weights else None for one in self.members],
            },
            "teacher": [self.digests[str(member.file)] for member in self.members],
            "data": {name: self.digests[name] for name in (*self.data.splits(), "unlabelled") if name in self.digests},
            "stages": {stage: sha256(canonical(stage_code(*STAGES[stage]))) for stage in IN_LINEAGE},
            "libraries": {**libraries(), **({} if self.folder.teacher_encode is None else tokenizers())},
        }


def open_job(recipe: Recipe, profile: str, stages: Stages) -> Job:
    """Loads the model folder and its data, and looks at the teachers.

    Raises:
        RecipeError: the profile or a file is missing, or the folder's code is not what it should be.
        DataError: the data cannot be had, or do not fit the recipe.
    """
    chosen = recipe.profile(profile)
    for member in recipe.teacher.members[: chosen.distill.members]:
        find_member(recipe, member)  # before the data are loaded, which may take long
    folder = load_folder(recipe)
    data, given = load_data(folder, recipe)
    digests = {"recipe": sha256(recipe.file.read_bytes())}
    digests |= {"model": code_of(recipe.path(recipe.model)), "data": code_of(recipe.path(recipe.data))}
    digests |= {name: split.digest() for name, split in data.splits().items()}
    if data.unlabelled is not None:
        digests["unlabelled"] = Split(data.unlabelled, np.zeros(0, np.int64)).digest()
    teacher_given = folder.teacher_input(given, data)
    return with_profile(Job(recipe, profile, chosen, folder, data, given, teacher_given, digests, stages), chosen)


def with_profile(job: Job, profile: Profile) -> Job:
    """The job with this profile instead, after a look at its student, its teachers and the data it names.

    Raises:
        RecipeError: a teacher's file is missing, or the folder's code is not what it should be.
        DataError: the data do not fit the profile.
    """
    recipe, folder, data = job.recipe, job.folder, job.data
    members = recipe.teacher.members[: profile.distill.members]
    files = {str(member.file): find_member(recipe, member) for member in members}
    check_corruptions(profile.corruptions, data.train.inputs)
    for baseline in suitable(profile.baselines, data.train.inputs, job.given):
        check_memory(baseline, len(data.train), job.given, profile.distill.memory_mib)
    parts = {f"baselines: samples of {each.kind}": each.samples for each in profile.baselines or ()}
    for key, samples in {"distill.samples": profile.distill.samples, **parts}.items():
        check_part(key, data.train.first(samples).labels, data.labels)
    check_network("student", functools.partial(folder.student, **profile.student), job.given, len(data.labels))
    new = {name: path for name, path in files.items() if name not in job.digests}
    check_members([one for one in members if str(one.file) in new], Checked(recipe, folder, job.teacher_given, data))
    digests = {**job.digests, **{name: sha256(path.read_bytes()) for name, path in new.items()}}
    made = replace(job, profile=profile, digests=digests)
    if profile.distill.hints:
        teacher = load_weights(recipe, folder, made.hinting)
        hinted(made.student(), teacher, profile.distill.hints, (job.given, job.teacher_given), recipe.seed)
    return made
