"""docs/recipe.md: every key that a recipe may have. `python -m joulebox_build.recipe.reference FILE` writes it.

Types and defaults come from the sections themselves, what a key is for from the text below its field.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from joulebox.package.manifest import ImagePreprocess, TextPreprocess
from joulebox_build.recipe import (
    AgreementGate,
    Baseline,
    Choices,
    Corruption,
    DataEfficiency,
    Distillation,
    GainStudy,
    Gate,
    GivenProfile,
    GivenRecipe,
    Golden,
    Hint,
    Member,
    Profile,
    Pruning,
    Quantization,
    Range,
    Recipe,
    Search,
    Teacher,
    Training,
)
from joulebox_build.recipe.given import GivenQuantization
from joulebox_build.recipe.quantization import QuantizationAwareTraining

SECTIONS: Mapping[str, type[BaseModel]] = {  # where it stands to what stands there, in the order of the page
    "the recipe": Recipe,
    "preprocess, of images": ImagePreprocess,
    "preprocess, of texts": TextPreprocess,
    "teacher": Teacher,
    "teacher.members": Member,
    "teacher.training": Training,
    "golden": Golden,
    "profiles.NAME": Profile,
    "profiles.NAME.distill": Distillation,
    "profiles.NAME.distill.hints": Hint,
    "profiles.NAME.prune": Pruning,
    "profiles.NAME.quantize": Quantization,
    "profiles.NAME.quantize.qat": QuantizationAwareTraining,
    "profiles.NAME.baselines": Baseline,
    "profiles.NAME.corruptions": Corruption,
    "profiles.NAME.gate": Gate,
    "profiles.NAME.study": GainStudy,
    "profiles.NAME.data_efficiency": DataEfficiency,
    "search": Search,
    "search.space.KEY, a range": Range,
    "search.space.KEY, choices": Choices,
    "the recipe with student: given": GivenRecipe,
    "profiles.NAME, given": GivenProfile,
    "profiles.NAME.quantize, given": GivenQuantization,
    "profiles.NAME.gate, given": AgreementGate,
}

HEAD = """# The recipe, key by key

Made of the code by `make reference`; a test fails where it is stale. A key that is not here is refused, with those that are. What the
parts are for: [distillation](distillation.md), [pruning](pruning.md), [quantization](compression.md), [the gate](gate.md),
[searching](search.md), [texts](text.md), [your own model](your-own-model.md).
"""


@dataclass(frozen=True)
class Key:
    """A row of the page."""

    name: str
    type: str
    default: str
    what: str


def page() -> str:
    """The whole page, in Markdown."""
    return HEAD + "".join(_part(place, section) for place, section in SECTIONS.items())


def keys(section: type[BaseModel]) -> list[Key]:
    """Those that a recipe may have there."""
    schema, said = section.model_json_schema(), texts(section)
    return [
        Key(name, _type(value), _default(name, value, schema), said.get(name, ""))
        for name, value in schema["properties"].items()
        if name != "file"  # not the recipe's: where it was read from
    ]


def texts(section: type[BaseModel]) -> dict[str, str]:
    """What stands below the section's fields, and below those that it inherits."""
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            found |= _own_texts(each)
    return found


def _own_texts(section: type[BaseModel]) -> dict[str, str]:
    (defined,) = ast.parse(inspect.getsource(section)).body
    return dict(_pairs(cast(ast.ClassDef, defined).body))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in itertools.pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, inspect.cleandoc(said)
            case _:
                pass


def _part(place: str, section: type[BaseModel]) -> str:
    rows = [
        f"| `{key.name}` | {_cell(key.type)} | {_cell(key.default)} | {_cell(key.what)} |\n" for key in keys(section)
    ]
    head = "| key | type | default | what |\n| --- | --- | --- | --- |\n"
    return f"\n## {place}\n\n{inspect.cleandoc(section.__doc__ or '')}\n\n{head}{''.join(rows)}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(name: str, value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "needed"
    default = value.get("default")
    if default is None or isinstance(default, dict):  # absent, or another section's own defaults
        return ""
    return f"`{json.dumps(default)}`"


def _type(value: Mapping[str, Any]) -> str:
    """For people: `0 < number`, the values that are taken, a link to a section."""
    if "$ref" in value:
        return _link(value["$ref"].rpartition("/")[2])
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    for union in ("anyOf", "oneOf"):
        if union in value:
            return _either([_type(each) for each in value[union] if each.get("type") != "null"])
    return _plain(value)


def _plain(value: Mapping[str, Any]) -> str:
    match value["type"]:
        case "integer" | "number":
            return _bounded("whole number" if value["type"] == "integer" else "number", value)
        case "array":
            return _list(value)
        case "object":
            inner: dict[str, Any] = {"": value.get("additionalProperties", {})} | value.get("patternProperties", {})
            return f"names to: {next(_type(each) for each in inner.values() if each)}"
        case "boolean":
            return "true or false"
        case _:
            return "file" if value.get("format") == "path" else "text"


def _list(value: Mapping[str, Any]) -> str:
    if "prefixItems" in value:
        return " and ".join(_type(each) for each in value["prefixItems"])
    return f"list of: {_type(value['items'])}"


def _bounded(what: str, value: Mapping[str, Any]) -> str:
    low = [(value[bound], sign) for bound, sign in (("exclusiveMinimum", "<"), ("minimum", "≤")) if bound in value]
    high = [(value[bound], sign) for bound, sign in (("exclusiveMaximum", "<"), ("maximum", "≤")) if bound in value]
    before = "".join(f"{limit:.15g} {sign} " for limit, sign in low)
    return f"{before}{what}" + "".join(f" {sign} {limit:.15g}" for limit, sign in high)


def _either(types: list[str]) -> str:
    """A number may be a whole one."""
    several = [each for each in dict.fromkeys(types) if each != "whole number" or "number" not in types]
    return " or ".join([", ".join(several[:-1]), several[-1]] if len(several) > 1 else several)


def _link(name: str) -> str:
    """To the section's part of the page."""
    place = next(place for place, section in SECTIONS.items() if section.__name__ == name)
    return f"[{place}](#{re.sub(r'[^a-z0-9_ -]', '', place.lower()).replace(' ', '-')})"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
