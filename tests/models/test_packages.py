"""The packages that ship: whole, made by the full profile, within its gate; and they answer."""

import json
from pathlib import Path

import httpx
import pytest

from joulebox.package import Package, open_package
from joulebox_build.recipe import load_recipe
from servers import serving

MODELS = Path(__file__).parents[2] / "models"
BYTES_MAX = {"fashion": 64 * 1024, "sentiment": 500_000}


@pytest.mark.parametrize("name", BYTES_MAX)
def test_it_is_whole_and_kept_every_limit_of_the_full_profile(name: str) -> None:
    package = open_package(MODELS / name / "package")
    package.verify()
    asked = load_recipe(MODELS / name / "recipe.yaml").profile("full").gate.model_dump(exclude_none=True)
    gate = json.loads(package.read("report.json"))["gate"]
    assert all(each["passed"] for each in gate)
    limits = {key for key in asked if key.endswith(("_min", "_max"))} - {"slice_samples_min"}  # says what a slice is
    assert limits <= {each["limit"] for each in gate}
    assert package.manifest.lineage.made_of["profile"] == "full"
    assert len(variant(package, "cpu-int8")) <= BYTES_MAX[name]


def test_the_sentiment_student_tells_praise_from_complaint() -> None:
    texts = {"I love this, thank you so much!": "positive", "worst flight ever, two hours late": "negative"}
    with serving(MODELS / "sentiment/package") as address:
        for text, expected in texts.items():
            answer = httpx.post(f"{address}/predict", content=text, headers={"content-type": "text/plain"}).json()
            assert answer["label"] == expected


def variant(package: Package, name: str) -> bytes:
    (file,) = (each.file for each in package.manifest.variants if each.name == name)
    return package.read(file)
