"""docs/recipe.md has every key that a recipe may have, as the code has it."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from joulebox.package.manifest import ImagePreprocess, TextPreprocess
from joulebox_build.recipe import GivenRecipe, Recipe
from joulebox_build.recipe.reference import SECTIONS, keys, page

PAGE = Path(__file__).parents[3] / "docs/recipe.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "docs/recipe.md is stale: make reference"


@pytest.mark.parametrize("recipe", [Recipe, GivenRecipe])
def test_every_section_of_a_recipe_is_on_the_page(recipe: type[BaseModel]) -> None:
    known = {section.__name__ for section in SECTIONS.values()}
    assert set(recipe.model_json_schema()["$defs"]) <= known


@pytest.mark.parametrize("place", SECTIONS)
def test_every_key_says_what_it_is(place: str) -> None:
    section = SECTIONS[place]
    if section in {ImagePreprocess, TextPreprocess}:
        pytest.skip("said above the table, and in docs/text.md")
    assert [key.name for key in keys(section) if not key.what] == []


def test_types_and_defaults_are_those_that_are_checked() -> None:
    rows = {(place, key.name): (key.type, key.default) for place, section in SECTIONS.items() for key in keys(section)}
    assert rows["profiles.NAME.distill", "epochs"] == ("0 < whole number", "needed")
    assert rows["profiles.NAME.distill", "average"] == ("0 ≤ number < 1", "`0.0`")
    assert rows["profiles.NAME.distill", "method"] == ("`hinton`, `decoupled`, `none`", '`"hinton"`')
    assert rows["profiles.NAME.prune", "macs"] == ("0 < number ≤ 1", "")
    assert rows["profiles.NAME", "student"] == ("names to: true or false, number or text", "")
    assert rows["teacher", "members"] == ("list of: [teacher.members](#teachermembers)", "needed")
    assert ("the recipe", "file") not in rows
