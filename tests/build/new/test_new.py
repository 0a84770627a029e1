"""`joulebox new` makes a folder that works as it is, and refuses what cannot."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from joulebox.package import open_package
from joulebox_build.commands.build import build
from joulebox_build.commands.new import new
from joulebox_build.commands.teacher import teacher
from joulebox_build.errors import BuildError
from servers import serving


def rings(path: Path) -> Path:
    """A CSV whose classes no line divides, with columns of very different sizes."""
    random = np.random.default_rng(0)
    labels = np.arange(900) % 2
    angle, radius = random.uniform(0, 2 * np.pi, 900), 1 + 2 * labels + random.normal(0, 0.3, 900)
    rows = zip(1e4 * radius * np.cos(angle), 1e-3 * radius * np.sin(angle) + 5, labels, strict=True)
    lines = [f"{x},{y},{'outer' if label else 'inner'}" for x, y, label in rows]
    path.write_text("\n".join(["left,up,ring", *lines]), "utf-8")
    return path


def stripes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[count, 16, 16]` with a short line somewhere, across or down."""
    random, labels = np.random.default_rng(1), np.arange(count) % 2
    images = random.integers(0, 90, (count, 16, 16)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(0, 9, 2)
        image[row : row + (7 if label else 1), column : column + (1 if label else 7)] = 255
    return images, labels


def folder_of_stripes(path: Path) -> Path:
    for number, (image, label) in enumerate(zip(*stripes(700), strict=True)):
        place = path / ("down" if label else "across")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    return path


def series(path: Path) -> Path:
    """Float series of two channels, whose class is whether both swing together."""
    random, labels = np.random.default_rng(2), np.arange(900) % 2
    sign = random.choice([-1.0, 1.0], (900, 2))
    sign[:, 1] = np.where(labels, sign[:, 0], -sign[:, 0])
    np.savez(path, inputs=sign[:, :, None] * np.ones(6) + random.normal(0, 0.3, (900, 2, 6)), labels=labels)
    return path


@pytest.mark.parametrize(("make", "file", "label"), [(rings, "x.csv", "ring"), (series, "x.npz", "label")])
def test_what_it_makes_is_trained_built_and_passes_its_gate(
    make: Any, file: str, label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new("mine", make(tmp_path / file), label, tmp_path / "models")
    recipe = tmp_path / "models/mine/recipe.yaml"
    assert f"joulebox teacher {recipe}" in capsys.readouterr().out.replace("\n", "")
    teacher(recipe)
    build(recipe, tmp_path / "out", "quick")
    manifest = open_package(tmp_path / "out").manifest
    assert all(result.passed for result in manifest.gate)
    assert manifest.preprocess is None


@pytest.mark.slow
def test_a_model_of_a_folder_of_images_is_built_served_and_knows_most_of_them(tmp_path: Path) -> None:
    source = folder_of_stripes(tmp_path / "stripes")
    new("mine", source, "label", tmp_path / "models")
    teacher(tmp_path / "models/mine/recipe.yaml")
    build(tmp_path / "models/mine/recipe.yaml", tmp_path / "out", "quick")
    files = sorted(source.rglob("*.png"))[::35]
    with serving(tmp_path / "out") as address:
        answers = [httpx.post(f"{address}/predict", content=file.read_bytes()).json()["label"] for file in files]
    right = sum(answer == file.parent.name for answer, file in zip(answers, files, strict=True))
    assert right >= 0.9 * len(files)


def test_json_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("mine", rings(tmp_path / "x.csv"), "ring", tmp_path / "models", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == ["README.md", "data.py", "model.py", "recipe.yaml"]
    assert said["labels"] == ["inner", "outer"]
    assert sum(said["samples"].values()) == 900
    assert said["input"] == [2]


def test_a_folder_that_is_there_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "models/mine").mkdir(parents=True)
    with pytest.raises(BuildError, match="mine exists; choose another name"):
        new("mine", rings(tmp_path / "x.csv"), "ring", tmp_path / "models")
    assert not list((tmp_path / "models/mine").iterdir())


@pytest.mark.parametrize("name", ["", "Mine", "../mine", "a b", ".hidden", "x" * 64])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is not taken; expected small letters"):
        new(name, rings(tmp_path / "x.csv"), "ring", tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("name", "what"), [("x.txt", "is no folder, .csv or .npz file"), ("y.txt", "does not exist")])
def test_data_of_no_known_kind_are_refused(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    with pytest.raises(BuildError, match=what):
        new("mine", tmp_path / name, "label", tmp_path / "models")


def test_bad_data_leave_nothing_behind(tmp_path: Path) -> None:
    path = rings(tmp_path / "x.csv")
    path.write_text(path.read_text("utf-8").replace(",inner", ",", 1), "utf-8")
    with pytest.raises(BuildError, match="the class is empty"):
        new("mine", path, "ring", tmp_path / "models")
    assert not (tmp_path / "models").exists()
