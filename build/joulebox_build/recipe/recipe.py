"""The recipe: what to make, from what, and under which gate. Reading one names every key that is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Lt
from pydantic import BaseModel, Field, ValidationError, model_validator

from joulebox.package.manifest import Preprocess
from joulebox_build.errors import RecipeError
from joulebox_build.recipe.baseline import Baseline
from joulebox_build.recipe.corruption import Corruption
from joulebox_build.recipe.gate import Gate
from joulebox_build.recipe.given import GivenRecipe
from joulebox_build.recipe.pruning import Pruning
from joulebox_build.recipe.quantization import Quantization
from joulebox_build.recipe.search import Search, Value
from joulebox_build.recipe.section import Golden, Name, Section
from joulebox_build.recipe.study import DataEfficiency, GainStudy
from joulebox_build.recipe.training import Distillation, Teacher
from joulebox_build.recipe.variants import ALWAYS, Variants
from joulebox_build.recipe.yamlfile import read_yaml


class Profile(Section):
    """One way of making the model: the quick one to try, the full one to ship."""

    student: Mapping[str, Value] = Field(default_factory=dict)
    """Arguments of `student()` in model.py."""
    distill: Distillation
    """How the student is trained."""
    prune: Pruning | None = None
    """How it loses channels afterwards; where absent, it does not."""
    quantize: Quantization = Quantization()
    """How it becomes int8."""
    variants: Variants = ALWAYS
    """The forms in which the model is shipped; the first two are always needed."""
    baselines: Annotated[list[Baseline], Field(min_length=1, max_length=3)] | None = None
    """Simpler methods to beat; where absent, logistic regression, or `tf-idf` for texts."""
    corruptions: Annotated[tuple[Corruption, ...], Field(max_length=40)] = ()
    """What may happen to the test data, for the report and the gate."""
    gate: Gate = Gate()
    """What it has to meet; that it beats the best baseline is asked always."""
    study: GainStudy | None = None
    """Whether the teacher helps; where absent, not asked."""
    data_efficiency: DataEfficiency | None = None
    """Whether all of the data are needed; where absent, not asked."""

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        kinds = [baseline.kind for baseline in self.baselines or []]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"baselines: {', '.join(kinds)}; expected each kind once")
        if self.gate.corruption_drop_max is not None and not self.corruptions:
            raise ValueError(
                "gate.corruption_drop_max needs corruptions in the profile, such as {kind: noise, severity: 2}"
            )
        if self.study and self.distill.method == "none":
            raise ValueError("study: it compares with the teacher, which distill.method: none leaves out")
        return self


class Recipe(Section):
    """`models/<name>/recipe.yaml`: what to make, from what, under which gate."""

    schema_version: Literal[1]
    """Of this form of recipes."""
    name: Name
    """The model's name, in packages and addresses."""
    seed: Annotated[int, Ge(0), Lt(2**31)] = 0
    """Of all that is drawn: weights, orders, views, golden samples."""
    model: Path
    """A file beside the recipe that defines `student()`, and where a teacher has weights `teacher()`."""
    data: Path
    """A file beside the recipe that defines `load()` and `augment()`."""
    preprocess: Preprocess | None = None
    """What the device does to an image or a text; absent where the data are float32 tensors already."""
    teacher: Teacher
    """Who teaches."""
    golden: Golden = Golden()
    """Samples that are kept in the package."""
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]
    """Ways of making it; `joulebox build --profile` names one, `quick` where it does not."""
    search: Search | None = None
    """What `joulebox search` varies."""
    file: Annotated[Path, Field(exclude=True)]
    """Where it was read from; no key."""

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
    """Reads and checks a recipe that trains a student.

    Raises:
        RecipeError: the file is missing or no YAML, or a key is unknown, missing or has a wrong value; or the student is given.
    """
    recipe = load_any_recipe(path)
    if isinstance(recipe, GivenRecipe):
        raise RecipeError(f"{path}: its student is given, so that nothing is trained; only `joulebox build` takes it")
    return recipe


def load_any_recipe(path: Path) -> Recipe | GivenRecipe:
    """Reads and checks a recipe.

    Raises:
        RecipeError: the file is missing or no YAML, or a key is unknown, missing or has a wrong value.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds {type(content).__name__}; expected a mapping of keys")
    kind = GivenRecipe if "student" in content else Recipe
    if "file" in content:
        raise RecipeError(
            f"{path}: file: unknown key (value {content['file']!r}); expected one of {', '.join(_keys(kind))}"
        )
    try:
        return kind.model_validate({**content, "file": path.resolve()})
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(_explain(error, kind))}") from error


def _explain(error: ValidationError, recipe: type[BaseModel]) -> list[str]:
    lines: list[str] = []
    for where, problems in itertools.groupby(error.errors(), lambda problem: _place(problem["loc"])):
        problem, *others = problems  # several where a value may be of several types, and is of none
        key = ".".join(str(part) for part in where)
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"{key}: unknown key (value {problem['input']!r}); expected one of {', '.join(_siblings(problem['loc'], recipe))}"
            )
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing; it has no default")
        elif problem["type"] == "value_error":
            lines.append(str(problem["ctx"]["error"]) if "ctx" in problem else problem["msg"])
        else:
            said = [problem["msg"][0].lower() + problem["msg"][1:]]
            said += [other["msg"].removeprefix("Input should be ") for other in others]
            lines.append(f"{key}: {problem['input']!r}; {', or '.join(said)}")
    return lines


def _place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Without the type that a value was tried as."""
    return location[:-1] if location[-1:] and location[-1] in {"bool", "int", "float", "str"} else location


def _siblings(location: tuple[int | str, ...], recipe: type[BaseModel]) -> list[str]:
    """The keys that are known where an unknown one was found."""
    model = recipe
    for part in location[:-1]:
        if part in model.model_fields:
            sections = list(_sections(model.model_fields[str(part)].annotation)) or [model]
            model = next((section for section in sections if _kinds(section) & set(location)), sections[0])
    return _keys(model)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Those among what a field may hold, lists, mappings and unions included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _kinds(section: type[BaseModel]) -> set[Any]:
    """What tells a section from others that may stand in its place."""
    kind = section.model_fields.get("kind")
    return {section.__name__.lower()} if kind is None else set(get_args(kind.annotation))


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(set(model.model_fields) - {"file"})
