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

    samples: Positive = 100  # of those to calibrate on
    float_convolutions: Annotated[int, Ge(0)] = 0  # the first so many stay in float: early depthwise ones lose most


class AgreementGate(Section):
    """Limits as fractions of one of the test samples, times float's speed, and bytes."""

    agreement_min: Fraction  # of the answers that are the same as float's
    sure_agreement_min: Fraction  # of those where float's confidence is at least `sure`
    sure: Fraction = 0.5
    speedup_min: PositiveFloat  # one sample at a time on one thread, in turns
    bytes_max: Positive


class GivenProfile(Section):
    quantize: GivenQuantization = GivenQuantization()
    gate: AgreementGate


class GivenRecipe(Section):
    """`models/<name>/recipe.yaml` with `student: given`."""

    schema_version: Literal[1]
    name: Name
    student: Literal["given"]
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0
    model: Path  # defines given()
    data: Path  # defines load()
    preprocess: ImagePreprocess
    golden: Golden = Golden()
    profiles: Annotated[dict[Name, GivenProfile], Field(min_length=1)]
    file: Annotated[Path, Field(exclude=True)]  # where it was read from

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
