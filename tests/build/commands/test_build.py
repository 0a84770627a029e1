"""`build` on the command line: tables for people, one JSON object for scripts, and what went wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from joulebox_build.commands.build import build
from joulebox_build.errors import BuildError, GateError


@pytest.fixture
def cache(first_build: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All stages are there already."""
    monkeypatch.setenv("JOULEBOX_CACHE", str(first_build.cache))
    return first_build.cache


def test_json_is_all_there_is_on_standard_output(
    folder: Path, tmp_path: Path, first_build: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    build(folder / "recipe.yaml", tmp_path / "out", "quick", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["version"] == first_build.package.manifest.version
    assert Path(said["package"], "manifest.json").is_file()
    assert said["passed"]
    assert all(stage["cached"] for stage in said["stages"])
    names = {"teacher", "student fp32", "student int8", "baseline logistic-regression"}
    assert {model["name"] for model in said["models"]} == names


def test_tables_show_models_gate_and_where_the_package_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(folder / "recipe.yaml", tmp_path / "out", "quick")
    said = capsys.readouterr().out
    for text in ("student int8", "baseline", "beats_baseline", "passed", str(tmp_path / "out")):
        assert text in said.replace("\n", "") or text in said


@pytest.mark.parametrize("as_json", [True, False])
def test_an_unmet_gate_still_shows_limits_and_figures(
    folder: Path, tmp_path: Path, write_recipe: Any, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    write_recipe(folder, lambda recipe: recipe["profiles"]["quick"]["gate"].update(parameters_max=10))
    with pytest.raises(GateError):
        build(folder / "recipe.yaml", tmp_path / "out", "quick", as_json=as_json)
    said = capsys.readouterr().out
    if as_json:
        gate = {result["limit"]: result["passed"] for result in json.loads(said)["gate"]}
        assert not gate["parameters_max"]
        assert gate["accuracy_min"]
    else:
        assert "parameters_max" in said
        assert "FAILED" in said
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(BuildError, match="is a file; expected a folder") as caught:
        build(folder / "recipe.yaml", tmp_path / "out", "quick")
    assert caught.value.exit_code == 2


def test_an_output_below_a_file_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=r"the package cannot be written to .*: Not a directory"):
        build(folder / "recipe.yaml", tmp_path / "file/out", "quick")


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JOULEBOX_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(BuildError, match=r"cannot be written .*; set JOULEBOX_CACHE"):
        build(folder / "recipe.yaml", tmp_path / "out", "quick")
