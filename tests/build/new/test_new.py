"""`joulebox new` makes a folder that works as it is, and refuses what cannot."""

import csv
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from joulebox.package import open_package
from joulebox_build.commands.build import build
from joulebox_build.commands.new import new
from joulebox_build.commands.search import search
from joulebox_build.commands.teacher import teacher
from joulebox_build.errors import BuildError
from joulebox_build.job import open_job
from joulebox_build.new.source import Columns, open_source
from joulebox_build.recipe import load_recipe
from joulebox_build.search.space import check
from joulebox_build.stage import Stages
from joulebox_build.train.model import load_folder
from servers import serving

BIN = Path(sys.executable).parent


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


def without_comments(recipe: str) -> str:
    """As a person takes "# " away from what is switched off, and leaves what explains."""
    keys = "student|prune|variants|corruptions|study|data_efficiency|search"
    return re.sub(rf"^( *)# (?=(?:{keys}): |  )", r"\1", recipe, flags=re.MULTILINE)


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


def reviews(path: Path) -> Path:
    """A CSV of texts, each with a made-up word that its class is in: no list of words has it, but its beginning tells."""
    random, letters = np.random.default_rng(3), np.array(list("abcdefghijklmnop"))
    words = np.array(["kettle", "lamp", "chair", "window", "river", "garden"])
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["stars", "shop", "body"])
        for number in range(480):
            made_up = "zq"[number % 2] + "".join(random.choice(letters, 6))
            rows.writerow(["low" if number % 2 else "high", number % 3, " ".join([*random.choice(words, 3), made_up])])
    return path


@pytest.mark.parametrize(
    ("make", "file", "columns"),
    [
        (rings, "x.csv", {"label": "ring"}),
        (series, "x.npz", {}),
        pytest.param(reviews, "x.csv", {"label": "stars", "text": "body", "slices": ["shop"]}, marks=pytest.mark.slow),
    ],
)
def test_what_it_makes_is_trained_built_and_passes_its_gate(
    make: Any, file: str, columns: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new("mine", make(tmp_path / file), models=tmp_path / "models", **columns)
    recipe = tmp_path / "models/mine/recipe.yaml"
    assert f"joulebox teacher {recipe}" in capsys.readouterr().out.replace("\n", "")
    teacher(recipe)
    build(recipe, tmp_path / "out", "quick")
    manifest = open_package(tmp_path / "out").manifest
    assert all(result.passed for result in manifest.gate)
    assert (manifest.preprocess is not None) == ("text" in columns)
    report = json.loads((tmp_path / "out/current/report.json").read_text("utf-8"))
    slices = report["data"]["splits"]["test"]["slices"]
    assert set(slices) == ({"length", *columns["slices"]} if "text" in columns else set())


@pytest.mark.parametrize(
    ("make", "file"), [(rings, "x.csv"), (series, "x.npz"), (reviews, "x.csv"), (folder_of_stripes, "x")]
)
def test_each_part_that_is_commented_out_works_as_it_is(make: Any, file: str, tmp_path: Path) -> None:
    text = "body" if make is reviews else None
    new("mine", make(tmp_path / file), {rings: "ring", reviews: "stars"}.get(make, ""), tmp_path / "models", text)
    path = tmp_path / "models/mine/recipe.yaml"
    path.write_text(without_comments(path.read_text("utf-8")), "utf-8")
    recipe = load_recipe(path)
    save_file(load_folder(recipe).teacher().state_dict(), path.parent / "teacher.safetensors")
    job = open_job(recipe, "full", Stages(tmp_path / "cache"))  # runs student() with its arguments
    assert job.profile.student.keys() == {"width"}
    assert job.profile.study
    assert job.profile.data_efficiency
    assert len(job.profile.variants) == 4
    assert job.profile.corruptions
    assert (job.profile.prune is None) == (make is reviews)
    assert recipe.search
    check(recipe.profile("quick"), recipe.search)


@pytest.mark.slow
def test_what_was_taken_out_of_the_comments_is_built_and_searched(tmp_path: Path) -> None:
    """With fewer epochs."""
    new("mine", rings(tmp_path / "x.csv"), "ring", tmp_path / "models")
    path = tmp_path / "models/mine/recipe.yaml"
    short = re.sub(r"epochs: \d+", "epochs: 12", without_comments(path.read_text("utf-8")))
    path.write_text(re.sub(r"gate: .*", "gate: {}", short), "utf-8")
    teacher(path)
    build(path, tmp_path / "out", "full")
    search(path, trials=1)
    report = json.loads((tmp_path / "out/current/report.json").read_text("utf-8"))
    assert report["study"]
    assert report["data_efficiency"]
    assert {"cpu-int8", "cpu-fp32", "gpu-fp16", "trt-int8"} == {
        variant.name for variant in open_package(tmp_path / "out").manifest.variants
    }


def test_images_without_a_class_teach_where_there_are_some(tmp_path: Path) -> None:
    place = folder_of_stripes(tmp_path / "x")
    new("mine", place, models=tmp_path / "models")
    assert not load_recipe(tmp_path / "models/mine/recipe.yaml").profile("quick").distill.unlabelled
    (place / "across").rename(place / "kept")
    (place / "unlabelled").mkdir()
    for file in sorted((place / "kept").iterdir())[:20]:
        file.rename(place / "unlabelled" / file.name)
    new("again", place, models=tmp_path / "models")
    assert load_recipe(tmp_path / "models/again/recipe.yaml").profile("quick").distill.unlabelled


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


@pytest.mark.slow
def test_the_page_on_distillation_works_as_it_stands_there(tmp_path: Path) -> None:
    photos = folder_of_stripes(tmp_path / "photos")
    (photos / "unlabelled").mkdir()
    for file in sorted(photos.rglob("*.png"))[::10]:
        file.rename(photos / "unlabelled" / file.name)
    page = (Path(__file__).parents[3] / "docs/distillation.md").read_text("utf-8")
    blocks = dict(re.findall(r"^```(sh|yaml|python)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    recipe = tmp_path / "models/mine/recipe.yaml"
    for line in blocks["sh"].splitlines():
        subprocess.run([BIN / "joulebox", *line.split()[1:]], cwd=tmp_path, check=True)
        if line.startswith("joulebox new"):
            small = textwrap.indent(blocks["yaml"], "  ")
            recipe.write_text(recipe.read_text("utf-8").replace("profiles:\n", f"profiles:\n{small}"), "utf-8")
    report = json.loads((tmp_path / "out/mine/current/report.json").read_text("utf-8"))
    assert report["study"]["epochs"] == 20
    assert [point["fraction"] for point in report["data_efficiency"]] == [0.25, 0.5, 1]
    said = subprocess.run(
        [sys.executable, "-c", blocks["python"]], cwd=recipe.parent, check=True, capture_output=True, text=True
    )
    assert said.stdout.count("('3', 'Residual')") == 2


def test_json_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("mine", rings(tmp_path / "x.csv"), "ring", tmp_path / "models", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == ["README.md", "data.py", "model.py", "recipe.yaml"]
    assert said["labels"] == ["inner", "outer"]
    assert sum(said["samples"].values()) == 900
    assert said["input"] == [2]
    assert (said["slices"], said["unlabelled"]) == ([], 0)


@pytest.mark.parametrize("columns", [{"text": "body"}, {"slices": ["shop"]}])
def test_columns_of_what_has_none_are_refused(columns: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"--text and --slice name columns of a \.csv file; an \.npz file has groups"):
        new("mine", series(tmp_path / "x.npz"), models=tmp_path / "models", **columns)


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


def test_the_end_of_a_name_may_have_capitals(tmp_path: Path) -> None:
    new("mine", rings(tmp_path / "x.CSV"), "ring", tmp_path / "models")
    assert (tmp_path / "models/mine/data.py").is_file()


def test_means_are_told_as_exactly_as_their_spread_asks_for(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = np.stack([random.normal(2023.5, 0.01, 300), random.normal(0, 5000, 300)], 1)
    np.savez(tmp_path / "x.npz", inputs=inputs, labels=np.arange(300) % 3)
    found = open_source(tmp_path / "x.npz", Columns(), seed=0)
    exact = found.data.train.inputs.astype(np.float64)
    off = np.abs(np.array(found.mean) - exact.mean(0)) / exact.std(0)
    assert off.max() < 1e-3


def test_some_unreadable_files_are_put_up_with_where_that_is_asked_for(tmp_path: Path) -> None:
    images = folder_of_stripes(tmp_path / "images")
    (images / "down/notes.txt").write_text("who took these", "utf-8")
    with pytest.raises(BuildError, match=r"notes\.txt: .*`joulebox new --skip-unreadable` sets"):
        new("mine", images, models=tmp_path / "models")
    new("mine", images, models=tmp_path / "models", skip_unreadable=2)
    assert "SKIP_UNREADABLE = 2  #" in (tmp_path / "models/mine/data.py").read_text("utf-8")


def test_bad_data_leave_nothing_behind(tmp_path: Path) -> None:
    path = rings(tmp_path / "x.csv")
    path.write_text(path.read_text("utf-8").replace(",inner", ",", 1), "utf-8")
    with pytest.raises(BuildError, match="the class is empty"):
        new("mine", path, "ring", tmp_path / "models")
    assert not (tmp_path / "models").exists()
