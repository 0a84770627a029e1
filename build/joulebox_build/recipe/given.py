"""A recipe whose student is given: nothing is trained, and its int8 form is held against its float form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from joulebox.package.manifest import ImagePreprocess
from joulebox_build.errors import RecipeError
from joulebox_build.recipe.section import Fraction, Golden, Name, Positive, PositiveFloat, Section


class GivenQuantization(Section):
    """Static int8 quantization with bias correction (Nagel et al. 2019, arXiv:1906.04721)."""

    samples: Positive = 100
    """The first so many of the samples to calibrate on."""
    float_convolutions: Annotated[int, Ge(0)] = 0
    """The first so many, and what lies between them, stay in float: early depthwise ones lose most."""


class AgreementGate(Section):
    """Limits that int8 has to meet beside its own float form; there are no labels, and so neither accuracy nor a baseline."""

    agreement_min: Fraction
    """The part of the test samples that it answers as float does."""
    sure_agreement_min: Fraction
    """The same among those where float's confidence is at least `sure`."""
    sure: Fraction = 0.5
    """From which confidence on float is taken to be sure."""
    speedup_min: PositiveFloat
    """Times float's speed: one sample at a time on one thread of the build host, in turns."""
    bytes_max: Positive
    """Of the ONNX file."""


class GivenProfile(Section):
    """One way of quantizing it, and what it is held against."""

    quantize: GivenQuantization = GivenQuantization()
    """How it becomes int8."""
    gate: AgreementGate
    """What int8 has to meet."""


class GivenRecipe(Section):
    """`models/<name>/recipe.yaml` with `student: given`: a published network is quantized, and nothing is trained."""

    schema_version: Literal[1]
    """Of this form of recipes."""
    name: Name
    """The model's name, in packages and addresses."""
    student: Literal["given"]
    """What tells such a recipe from one that trains."""
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0
    """Of which samples become golden."""
    model: Path
    """A file beside the recipe that defines `given()`, the network with its weights."""
    data: Path
    """A file beside the recipe whose `load()` gives a `joulebox_build.data.unlabelled.Unlabelled`."""
    preprocess: ImagePreprocess
    """What the device does to an image before the network sees it."""
    golden: Golden = Golden()
    """Samples that are kept in the package."""
    profiles: Annotated[dict[Name, GivenProfile], Field(min_length=1)]
    """Ways of making it; `joulebox build --profile` names one."""
    file: Annotated[Path, Field(exclude=True)]
    """Where it was read from; no key."""

    @model_validator(mode="after")
    def _files_exist(self) -> GivenRecipe:
        for key, path in (("model", self.model), ("data", self.data)):
            if not self.path(path).is_file():
                raise ValueError(f"{key}: {self.path(path)} does not exist")
        return self

    def path(self, relative: Path) -> Path:
        """A file that the recipe names, beside the recipe."""
        return self.file.parent / relative

    def profile(self, name: str) -> GivenProfile:
        if name not in self.profiles:
            raise RecipeError(f"profile {name!r} is not in the recipe; it has {', '.join(sorted(self.profiles))}")
        return self.profiles[name]
