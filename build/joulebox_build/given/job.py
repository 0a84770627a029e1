"""What a recipe without training works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from torch import nn

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.encode import ModelInput, normalized
from joulebox_build.data.unlabelled import Unlabelled
from joulebox_build.errors import DataError
from joulebox_build.provenance import code_of, libraries, stage_code
from joulebox_build.recipe import GivenProfile, GivenRecipe
from joulebox_build.stage import Artifact, Make, Stages
from joulebox_build.train.model import check_network, function_of, import_file

STAGES = {  # as those of a job that trains
    "export": ("given.steps", "graph.export"),
    "quantize": ("given.steps", "compress.quantize", "compress.bias", "given.int8"),
    "answer": ("given.steps", "data.encode", "graph.inference"),
    "speedup": ("steps.cost", "judge.speed"),
    "measure": ("steps.cost", "judge.cost"),
}
IN_LINEAGE = ("export", "quantize", "answer")


@dataclass(frozen=True)
class GivenJob:
    """`digests` are of the file `recipe`, of the code `model` and `data`, and of the parts of the data."""

    recipe: GivenRecipe
    profile_name: str
    profile: GivenProfile
    network: Callable[[], nn.Module]
    data: Unlabelled
    given: ModelInput
    digests: Mapping[str, str]
    stages: Stages

    def run(self, stage: str, inputs: Mapping[str, Any], make: Make, *, of: str = "") -> Artifact:
        """The stage's artifact; see `Stages.run`. The preprocessing is part of every key."""
        with_preprocess = {**inputs, "preprocess": self.recipe.preprocess.model_dump()}
        return self.stages.run(stage, stage_code(*STAGES[stage]), with_preprocess, make, of=of)

    def made_of(self) -> dict[str, Any]:
        """What decides the package's version, as far as it is known before anything runs."""
        return {
            "recipe": {name: self.digests[name] for name in ("recipe", "model", "data")},
            "profile": self.profile_name,
            "seeds": {"recipe": self.recipe.seed},
            "data": {name: self.digests[name] for name in self.data.inputs()},
            "stages": {stage: sha256(canonical(stage_code(*STAGES[stage]))) for stage in IN_LINEAGE},
            "libraries": libraries(),
        }


def open_given(recipe: GivenRecipe, profile: str, stages: Stages) -> GivenJob:
    """Loads the model folder and its data.

    Raises:
        RecipeError: the profile is missing, or the folder's code is not what it should be.
        DataError: the data or the weights cannot be had, or do not fit the recipe.
    """
    chosen = recipe.profile(profile)
    network = function_of(import_file(recipe.path(recipe.model)), "given")
    data = cast(object, function_of(import_file(recipe.path(recipe.data)), "load")())
    digests = {"model": code_of(recipe.path(recipe.model)), "data": code_of(recipe.path(recipe.data))}
    digests["recipe"] = sha256(recipe.file.read_bytes())
    if not isinstance(data, Unlabelled):
        raise DataError(f"data: load() of {recipe.data} returned {type(data).__name__}; expected Unlabelled")
    given = _input(recipe, data)
    check_network("given", network, given, len(data.labels))
    return GivenJob(recipe, profile, chosen, network, data, given, {**digests, **data.digests()}, stages)


def _input(recipe: GivenRecipe, data: Unlabelled) -> ModelInput:
    preprocess = recipe.preprocess
    shape = (preprocess.channels, preprocess.height, preprocess.width)
    for name, inputs in data.inputs().items():
        if inputs.dtype != np.uint8 or inputs.shape[1:] != shape:
            raise DataError(
                f"data: {name} is {inputs.dtype} {list(inputs.shape)}; preprocess says images uint8 [N, {', '.join(map(str, shape))}]"
            )
    return ModelInput("image", "FP32", shape, partial(normalized, preprocess=preprocess))
