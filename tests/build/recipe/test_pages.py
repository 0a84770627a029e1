"""What the pages show of a recipe is taken as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from joulebox.package.manifest import Preprocess
from joulebox_build.recipe import GivenProfile, Profile, Recipe, Search
from joulebox_build.recipe.reference import keys

DOCS = Path(__file__).parents[3] / "docs"
NEEDED = {"distill": {"epochs": 1}}
PROFILE_KEYS = {key.name for key in keys(Profile)}


def parts() -> Iterator[tuple[str, dict[str, Any]]]:
    for page in sorted(DOCS.glob("*.md")):
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            part = yaml.safe_load(block)
            if not part.keys().isdisjoint({*(key.name for key in keys(Recipe)), *PROFILE_KEYS, "small"}):
                yield page.stem, part


@pytest.mark.parametrize(("page", "part"), list(parts()))
def test_what_a_page_shows_is_accepted(page: str, part: dict[str, Any]) -> None:
    if part.keys() <= PROFILE_KEYS:
        Profile.model_validate(NEEDED | part)
        return
    profile: type[GivenProfile | Profile] = GivenProfile if part.pop("student", "") == "given" else Profile
    needed = {} if profile is GivenProfile else NEEDED
    for name, content in (part.pop("profiles", {}) | {"small": part.pop("small", {})}).items():
        if content:
            assert profile.model_validate(needed | content), f"{page}: {name}"
    if "search" in part:
        Search.model_validate(part.pop("search"))
    if "preprocess" in part:
        TypeAdapter[Any](Preprocess).validate_python(part.pop("preprocess"))
    assert not part


def test_most_pages_show_some() -> None:
    assert {page for page, _ in parts()} >= {"compression", "distillation", "gate", "pruning", "search", "text"}
