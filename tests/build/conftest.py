"""A tiny model folder: stripes of three orientations, which a convolution tells apart and a linear model does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulebox.package import Package
from joulebox_build.commands.teacher import teacher
from joulebox_build.pipeline import Built, build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Stages

MODEL = """
from torch import nn

def net(width):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(width, 3),
    )

def teacher():
    return net(16)

def student():
    return net(8)
"""

DATA = """
import numpy as np
from joulebox_build.data.dataset import Dataset, Split, stratified_holdout

TEST_SEED = 1

def stripes(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 90, (count, 1, 12, 12)).astype(np.uint8)
    for image, label in zip(images, labels):
        row, column = random.integers(0, 7, 2)
        for step in range(5):
            image[0, row + (label != 0) * step, column + (label != 1) * step] = 255
    return Split(images, labels.astype(np.int64))

def load():
    train, validation = stratified_holdout(stripes(900, 0), 150, seed=0)
    return Dataset(("across", "down", "diagonal"), train, validation, stripes(300, TEST_SEED))

def augment(images, random):
    return np.roll(images, int(random.integers(0, 3)), 3)
"""

RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "stripes",
    "seed": 3,
    "model": "model.py",
    "data": "data.py",
    "preprocess": {"kind": "image", "height": 12, "width": 12, "channels": 1, "mean": [0.2], "std": [0.25]},
    "teacher": {
        "members": [{"weights": "teacher.safetensors", "seed": 3}],
        "training": {"epochs": 5, "batch": 50, "learning_rate": 0.2},
    },
    "golden": {"samples": 8},
    "profiles": {
        "quick": {
            "distill": {"epochs": 4, "batch": 50, "learning_rate": 0.2, "views": 2},
            "quantize": {"samples": 100},
            "baselines": [{"kind": "logistic-regression", "iterations": 20}],
            "gate": {
                "accuracy_min": 0.7,
                "teacher_drop_max": 0.3,
                "quantization_drop_max": 0.1,
                "bytes_max": 20000,
                "parameters_max": 2000,
            },
        }
    },
}

WITH_UNLABELLED = DATA.replace("stripes(300, TEST_SEED))", "stripes(300, TEST_SEED), stripes(90, 5).inputs)")
EVERYTHING: dict[
    str, Any
] = {  # that a profile can ask for; a range that cuts off much makes int8 bad enough to be trained on
    "distill": {**RECIPE["profiles"]["quick"]["distill"], "unlabelled": True, "mixup": 0.3},
    "prune": {"macs": 0.7, "epochs": 1},
    "quantize": {
        "samples": 100,
        "calibrators": ["percentile"],
        "percentile": 98,
        "drop_max": 0,
        "qat": {"epochs": 1},
        "sensitivity": True,
    },
    "variants": ["cpu-int8", "cpu-fp32", "trt-int8"],
    "corruptions": [{"kind": "noise"}],
    "study": {"seeds": 2, "epochs": 1},
    "data_efficiency": {"fractions": [0.5, 1.0], "epochs": 1},
    "gate": {},
}

Edit = Callable[[dict[str, Any]], None]
WriteRecipe = Callable[[Path, Edit], Path]


def _write(folder: Path, edit: Edit) -> Path:
    recipe = yaml.safe_load(yaml.safe_dump(RECIPE))
    edit(recipe)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    return path


@pytest.fixture
def write_recipe() -> WriteRecipe:
    """Writes the tiny recipe, edited, into a folder that has its other files."""
    return _write


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stripes")
    (folder / "model.py").write_text(MODEL, "utf-8")
    (folder / "data.py").write_text(DATA, "utf-8")
    recipe = load_recipe(_write(folder, lambda _: None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOX_CACHE", str(folder / "cache"))
        teacher(recipe.file)
    shutil.rmtree(folder / "cache")
    return folder


@pytest.fixture
def folder(trained_folder: Path, tmp_path: Path) -> Path:
    """The tiny model folder, this test's own: recipe.yaml, model.py, data.py, teacher.safetensors."""
    return Path(shutil.copytree(trained_folder, tmp_path / "model"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own stage cache, for subprocesses too."""
    monkeypatch.setenv("JOULEBOX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session", autouse=True)
def _quick_costs() -> Iterator[None]:
    """What models cost is measured in less time than for a report that somebody reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joulebox_build.judge.cost.WORK_S", 0.05)
        yield


@dataclass(frozen=True)
class FirstBuild:
    """What a build from an empty cache made, and its cache: to be looked at, or copied, not changed."""

    package: Package
    built: Built
    cache: Path


@pytest.fixture(scope="session")
def first_build(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstBuild:
    place = tmp_path_factory.mktemp("first")
    built = build(load_recipe(trained_folder / "recipe.yaml"), "quick", Stages(place / "cache"))
    return FirstBuild(pack(built, place / "out"), built, place / "cache")


@pytest.fixture(scope="session")
def built_of_everything(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstBuild:
    """The same with all that a profile can ask for, unlabelled data among it."""
    place = tmp_path_factory.mktemp("everything")
    folder = Path(shutil.copytree(trained_folder, place / "model"))
    (folder / "data.py").write_text(WITH_UNLABELLED, "utf-8")
    recipe = load_recipe(_write(folder, lambda recipe: recipe["profiles"]["quick"].update(EVERYTHING)))
    built = build(recipe, "quick", Stages(place / "cache"))
    with pytest.MonkeyPatch.context() as patch:  # its int8, harmed on purpose, is refused, else
        patch.setattr("joulebox_build.packing.tolerance.CAP", 1.0)
        patch.setattr("joulebox_build.packing.tolerance.SURE", 2.0)
        return FirstBuild(pack(built, place / "out"), built, place / "cache")
