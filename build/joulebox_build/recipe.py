"""The recipe: what to make, from what, and under which gate. Reading one names every key that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from joulebox.package.manifest import ImagePreprocess
from joulebox_build.errors import RecipeError

Positive = Annotated[int, Gt(0)]
PositiveFloat = Annotated[float, Gt(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class Section(BaseModel):
    """A part of a recipe: immutable, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(Section):
    """SGD with Nesterov momentum 0.9 under a one-cycle schedule (Smith 2018, arXiv:1803.09820)."""

    epochs: Positive
    batch: Positive = 256
    learning_rate: PositiveFloat = 0.2  # the schedule's peak
    weight_decay: Annotated[float, Ge(0)] = 5e-4  # not on biases and norms


class Distillation(Training):
    """Hinton distillation (Hinton et al. 2015, arXiv:1503.02531) from logits cached over fixed augmented views."""

    temperature: PositiveFloat = 4.0
    teacher_weight: Fraction = 0.9  # of the soft loss; the rest is cross-entropy with the labels
    views: Positive = 1  # augmented views of the training data whose teacher logits are cached
    samples: Positive | None = None  # train on the first so many; all where absent


class Quantization(Section):
    """Static int8 post-training quantization."""

    samples: Positive = 1000  # of the training data, to calibrate on


class Baseline(Section):
    """The simpler method that the student has to beat."""

    kind: Literal["logistic-regression"] = "logistic-regression"
    samples: Positive | None = None
    iterations: Positive = 100


class Gate(Section):
    """Limits on test figures as fractions of one, and sizes. The baseline has to be beaten always."""

    accuracy_min: Fraction
    teacher_drop_max: Fraction
    quantization_drop_max: Fraction
    bytes_max: Positive
    parameters_max: Positive


class Golden(Section):
    """Samples kept in the package with their reference outputs; a variant has to reproduce them before it is served."""

    samples: Annotated[int, Gt(0), Le(256)] = 16


class Teacher(Section):
    weights: Path
    training: Training


class Profile(Section):
    distill: Distillation
    quantize: Quantization = Quantization()
    baseline: Baseline = Baseline()
    gate: Gate


class Recipe(Section):
    """`models/<name>/recipe.yaml`."""

    schema_version: Literal[1]
    name: Name
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0
    model: Path  # defines teacher() and student()
    data: Path  # defines load() and augment()
    preprocess: ImagePreprocess
    teacher: Teacher
    golden: Golden = Golden()
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]
    file: Annotated[Path, Field(exclude=True)]  # where it was read from

    @model_validator(mode="after")
    def _files_exist(self) -> Recipe:
        for key, path in (("model", self.model), ("data", self.data)):
            if not (self.folder / path).is_file():
                raise ValueError(f"{key}: {self.folder / path} does not exist")
        return self

    @property
    def folder(self) -> Path:
        return self.file.parent

    def path(self, relative: Path) -> Path:
        """A file that the recipe names, beside the recipe."""
        return self.folder / relative

    def profile(self, name: str) -> Profile:
        if name not in self.profiles:
            raise RecipeError(f"profile {name!r} is not in the recipe; it has {', '.join(sorted(self.profiles))}")
        return self.profiles[name]


def load_recipe(path: Path) -> Recipe:
    """Reads and checks a recipe.

    Raises:
        RecipeError: the file is missing or no YAML, or a key is unknown, missing or has a wrong value.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(
            f"{path}: {error.strerror}; expected a recipe.yaml, such as models/fashion/recipe.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds {type(content).__name__}; expected a mapping of keys")
    if "file" in content:
        raise RecipeError(
            f"{path}: file: unknown key (value {content['file']!r}); expected one of {', '.join(_keys(Recipe))}"
        )
    try:
        return Recipe.model_validate({**content, "file": path.resolve()})
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(_explain(error))}") from error


def _explain(error: ValidationError) -> list[str]:
    lines: list[str] = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"{key}: unknown key (value {problem['input']!r}); expected one of {', '.join(_siblings(problem['loc']))}"
            )
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing; it has no default")
        elif problem["type"] == "value_error":
            lines.append(str(problem["ctx"]["error"]) if "ctx" in problem else problem["msg"])
        else:
            lines.append(f"{key}: {problem['input']!r}; {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return lines


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where an unknown one was found."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        if model is Recipe and part == "profiles":
            continue
        annotation = (
            Profile if model is Recipe and part not in Recipe.model_fields else model.model_fields[str(part)].annotation
        )
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return _keys(model)


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(set(model.model_fields) - {"file"})
