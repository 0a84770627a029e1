"""A recipe whose student is given: nothing is trained, int8 is held against float, and the gate decides."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from joulebox.engine import rungs
from joulebox.package import open_package
from joulebox_build.commands.build import build
from joulebox_build.commands.teacher import teacher
from joulebox_build.data.unlabelled import Unlabelled
from joulebox_build.errors import BuildError, DataError, GateError, RecipeError
from joulebox_build.given import pipeline
from joulebox_build.given.int8 import first_layers
from joulebox_build.given.job import STAGES
from joulebox_build.given.pipeline import build as given_build
from joulebox_build.packing.offer import offer
from joulebox_build.recipe import GivenRecipe, load_any_recipe
from joulebox_build.report.cardparts import sections
from joulebox_build.stage import Stages
from killing import Uninterrupted, check_ended_alike, kill_in_each

MODEL = """
import torch
from torch import nn

def given():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.ReLU6(),
        nn.Conv2d(16, 16, 3, groups=16), nn.ReLU6(),
        nn.Conv2d(16, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )
"""
DATA = """
import numpy as np
from joulebox_build.data.unlabelled import Unlabelled

def patches(count, seed):
    random = np.random.default_rng(seed)
    return (random.integers(0, 256, (count, 3, 1, 1)) + random.integers(-9, 9, (count, 3, 16, 16))).clip(0, 255).astype(np.uint8)

def load():
    return Unlabelled(("a", "b", "c", "d"), patches(30, 0), patches(60, 1), {"half": np.repeat(["first", "second"], 30)})
"""
RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "patches",
    "student": "given",
    "model": "model.py",
    "data": "data.py",
    "preprocess": {"kind": "image", "height": 16, "width": 16, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3},
    "golden": {"samples": 4},
    "profiles": {
        "full": {
            "quantize": {"samples": 30, "float_convolutions": 1},
            "gate": {
                "agreement_min": 0.7,
                "sure_agreement_min": 0.7,
                "sure": 0.26,
                "speedup_min": 0.001,
                "bytes_max": 20000,
            },
        }
    },
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the model folder, its gate edited, and gives the recipe's path."""

    def write(**limits: float) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        recipe = yaml.safe_load(yaml.safe_dump(RECIPE))
        recipe["profiles"]["full"]["gate"].update(limits)
        for name, text in (("model.py", MODEL), ("data.py", DATA), ("recipe.yaml", yaml.safe_dump(recipe))):
            (folder / name).write_text(text, "utf-8")
        return folder / "recipe.yaml"

    return write


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One for all tests here: what a stage made of the same inputs is the same."""
    monkeypatch.setenv("JOULEBOX_CACHE", str(shared))
    return shared


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulebox_build.judge.speed.TURNS", 3)


def test_the_package_has_both_forms_and_its_evidence_says_how_often_they_agree(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(write(), tmp_path / "out", "full", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["passed"]
    manifest = open_package(tmp_path / "out").manifest
    assert [variant.precision for variant in manifest.variants] == ["int8", "fp32"]
    assert manifest.labels == ["a", "b", "c", "d"]
    report = json.loads((tmp_path / "out/current/report.json").read_text("utf-8"))
    assert set(report["agreement"]["groups"]["half"]) == {"first", "second"}
    assert report["samples"] == {"calibration": 30, "test": 60}
    assert "accuracy" not in json.dumps(report)


@pytest.fixture
def built(write: Write, cache: Path, tmp_path: Path) -> Uninterrupted:
    recipe = write()
    found = load_any_recipe(recipe)
    assert isinstance(found, GivenRecipe)
    made = pipeline.build(found, "full", Stages(cache))
    return Uninterrupted(recipe, cache, pipeline.pack(made, tmp_path / "first"))


@pytest.mark.slow
def test_a_build_killed_in_any_stage_ends_as_if_it_had_not_been(built: Uninterrupted, tmp_path: Path) -> None:
    stages = (*STAGES, "package")
    kill_in_each(built, stages, tmp_path / "killed")
    for stage in stages:
        check_ended_alike(built.package, tmp_path / "killed" / stage, stage)


def test_how_fast_it_was_is_in_the_report_and_not_in_the_version(built: Uninterrupted) -> None:
    """Another run measures another speed."""
    gate = {result.limit: result.actual for result in built.package.manifest.gate}
    assert gate["speedup_min"] is None
    assert gate["agreement_min"] is not None
    report = json.loads(built.package.read("report.json"))
    assert report["speedup"] > 0


def test_the_order_on_this_host_follows_what_the_turns_with_float_said(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(write(), tmp_path / "out", "full")
    package = open_package(tmp_path / "out")
    report = json.loads(package.read("report.json"))
    seconds = json.loads(package.read("latency.json"))["latency_s"]
    assert seconds["cpu-fp32"] / seconds["cpu-int8"] == pytest.approx(report["speedup"])
    assert [each["name"] for each in report["variants"]] == [rung.name for rung in rungs(package, strict="onnxruntime")]
    first = f"this host would serve {rungs(package)[0].name} first"
    assert first in package.read("report.html").decode()
    assert first in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("times_as_fast", "first"), [(3.0, "cpu-int8"), (0.97, "cpu-int8"), (0.4, "cpu-fp32")])
def test_an_int8_that_is_slower_than_float_is_said_to_be_and_not_preferred(
    write: Write, cache: Path, times_as_fast: float, first: str
) -> None:
    built = given_build(load_any_recipe(write()), "full", Stages(cache))
    speeds = {"cpu-fp32": 1.0, "cpu-int8": times_as_fast}
    offered = offer({"cpu-fp32": built.fp32, "cpu-int8": built.int8}, speeds, 1e-4)
    page = replace(built.report, offer=offered).files()["report.html"].decode()
    assert f"this host would serve {first} first" in page
    assert ("cpu-int8 takes 2.5 × the time of fp32 here, both in turns" in page) == (first == "cpu-fp32")


def test_its_model_card_has_the_reports_figures_and_what_people_said(write: Write, tmp_path: Path) -> None:
    recipe = write()
    (recipe.parent / "README.md").write_text(
        "# patches\n\nTells patches apart.\n\n## Intended use\n\nTests.\n", "utf-8"
    )
    build(recipe, tmp_path / "out", "full")
    package = open_package(tmp_path / "out")
    report, found = json.loads(package.read("report.json")), sections(package.read("model-card.md").decode())
    assert found["model details"].startswith("Tells patches apart.\n\n|")
    assert found["intended use"] == "Tests."
    assert found["caveats and recommendations"].startswith("Not said")
    assert f"| all | {100 * report['agreement']['agreement']:.2f} % |" in found["quantitative analyses"]
    assert "| half first |" in found["quantitative analyses"]
    assert found["evaluation data"].startswith("60 test samples, SHA-256")
    for result in report["gate"]:
        assert f"{result['limit']} | \\{result['expected']}; found" in found["metrics"]


def test_building_again_makes_nothing_anew_and_the_same_version(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write()
    first, second = (_built(recipe, tmp_path / name, capsys) for name in ("one", "two"))
    assert first["version"] == second["version"]
    assert all(stage["cached"] for stage in second["stages"])


def _built(recipe: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    build(recipe, out, "full", as_json=True)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("limit", "value"),
    [("agreement_min", 1.0), ("sure_agreement_min", 1.0), ("speedup_min", 1000.0), ("bytes_max", 100)],
)
def test_each_limit_out_of_reach_fails_the_build_and_is_named(
    write: Write, tmp_path: Path, limit: str, value: float
) -> None:
    recipe = write(**{limit: value})
    if limit.endswith("agreement_min"):  # the first answer of int8 turned round
        (recipe.parent / "model.py").write_text(MODEL.replace("nn.Linear(16, 4)", "Rough()") + ROUGH, "utf-8")
    with pytest.raises(GateError, match=f"{limit} is "):
        build(recipe, tmp_path / "out", "full")
    assert not (tmp_path / "out").exists()


ROUGH = """
class Rough(nn.Module):
    '''So many near ties that int8 gets some of them wrong.'''
    def forward(self, x):
        return (x[:, :4] - x[:, 4:8]) * 2e4 % 1.0
"""


def test_where_float_is_sure_of_nothing_the_limit_cannot_be_checked(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"at least 1 for none of the 60 test samples; lower gate\.sure"):
        build(write(sure=1.0), tmp_path / "out", "full")


def test_nothing_of_it_can_be_trained(write: Write) -> None:
    with pytest.raises(RecipeError, match="its student is given, so that nothing is trained"):
        teacher(write())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("def load():\n    return 3\n", "returned int; expected Unlabelled"),
        (DATA.replace("16, 16", "8, 8"), r"calibration is uint8 \[30, 3, 8, 8\]; preprocess says images uint8"),
        (DATA.replace("patches(30, 0)", "patches(60, 1)[:7]"), "7 samples are both in calibration and in test"),
        (DATA.replace("patches(30, 0)", "patches(0, 0)"), "calibration has no sample"),
        (DATA.replace(", 30)}", ", 31)}"), r"groups: half has shape \[62\]; expected one for each of 60"),
    ],
)
def test_data_that_cannot_be_right_are_refused_in_one_line(
    write: Write, tmp_path: Path, data: str, message: str
) -> None:
    recipe = write()
    (recipe.parent / "data.py").write_text(data, "utf-8")
    with pytest.raises(BuildError, match=message) as caught:
        build(recipe, tmp_path / "out", "full")
    assert "\n" not in str(caught.value)


def test_digests_change_with_any_sample_or_group() -> None:
    one, other = np.zeros((2, 1, 2, 2), np.uint8), np.ones((2, 1, 2, 2), np.uint8)
    first = Unlabelled(("a",), one, other).digests()
    assert Unlabelled(("a",), one, other + np.uint8(1)).digests()["test"] != first["test"]
    assert Unlabelled(("a",), one, other, {"x": np.asarray(["p", "q"])}).digests()["test"] != first["test"]


def test_the_first_layers_are_those_up_to_a_convolution() -> None:
    helper = onnx.helper
    operations = ["Conv", "Clip", "Conv", "Clip", "Gemm"]
    nodes = [helper.make_node(kind, [], [], name=str(number)) for number, kind in enumerate(operations)]
    model = helper.make_model(helper.make_graph(nodes, "model", [], [])).SerializeToString()
    assert first_layers(model, 0) == []
    assert first_layers(model, 2) == ["0", "1", "2"]
    assert first_layers(model, 9) == ["0", "1", "2", "3", "4"]
