"""The model card has the usual headings; what only people know is taken from the README, or said to be missing."""

import json
from typing import Any

import pytest

from joulebox_build.report.cardparts import sections
from joulebox_build.report.modelcard import model_card

README = """# stripes

Tells stripes apart.

More on that.

## Intended use

Tests alone.

## Ethical considerations

None: it is noise.
"""
HEADINGS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


@pytest.fixture(scope="module")
def content(first_build: Any) -> dict[str, Any]:
    return json.loads(first_build.package.read("report.json"))


def test_it_has_the_headings_of_mitchell_et_al_in_their_order(content: dict[str, Any]) -> None:
    card = model_card(content, README)
    assert [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")] == HEADINGS


def test_what_people_said_is_taken_over_and_what_they_did_not_is_said_to_be_missing(content: dict[str, Any]) -> None:
    found = sections(model_card(content, README))
    assert found["intended use"] == "Tests alone."
    assert found["ethical considerations"] == "None: it is noise."
    assert found["model details"].startswith("Tells stripes apart.\n\n|")
    assert found["caveats and recommendations"].startswith("Not said")


def test_a_comment_in_a_readmes_code_is_no_heading() -> None:
    code = "Run it:\n\n```sh\n# install\nmake install\n```"
    found = sections(f"# stripes\n\nStripes.\n\n## Intended use\n\n{code}\n\n## Factors\n\nNone.\n")
    assert found == {"": "Stripes.", "stripes": "Stripes.", "intended use": code, "factors": "None."}


def test_without_a_readme_there_is_a_card_still(content: dict[str, Any]) -> None:
    assert sections(model_card(content, ""))["intended use"].startswith("Not said")


def test_its_figures_are_the_reports(content: dict[str, Any], first_build: Any) -> None:
    card = first_build.package.read("model-card.md").decode()
    for model in content["models"]:
        assert f"| {model['name']} | {100 * model['quality']['accuracy']:.2f}" in card


def test_labels_cannot_break_its_tables_or_be_html(content: dict[str, Any]) -> None:
    card = model_card({**content, "labels": ["a|b", "<script>", "c\nd"]}, "")
    assert "a\\|b, \\<script\\>, c d" in card
