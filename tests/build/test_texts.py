"""A recipe of texts, from data to labels over HTTP: the numbers of a text are the same on the build host and on the device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from joulebox.package import open_package
from joulebox.package.manifest import TextPreprocess
from joulebox_build.commands.teacher import teacher
from joulebox_build.pipeline import build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Stages
from servers import serving

MODEL = """
import numpy as np
from torch import nn

class Bag(nn.Module):
    def __init__(self, rows, width):
        super().__init__()
        self.embedding = nn.Embedding(rows, width, padding_idx=0)
        self.layers = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, 2))

    def forward(self, ids):
        return self.layers(self.embedding(ids).sum(1))

def teacher():
    return Bag(256, 16)

def teacher_encode(texts):  # letters, where the student has words
    return np.array([np.frombuffer(text.encode()[:60].ljust(60, b"\\0"), np.uint8) for text in texts]).astype(np.int64)

def student():
    return Bag(1001, 8)
"""
DATA = """
import numpy as np
from joulebox_build.data.dataset import Dataset, Split

WORDS = np.array("kettle lamp chair window river garden".split())
LETTERS = np.array(list("abcdefghijklmnop"))

def texts(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    made_up = ["zq"[label] + "".join(random.choice(LETTERS, 6)) for label in labels]  # which TF-IDF has never seen
    found = [" ".join([*random.choice(WORDS, 4), word]) for word in made_up]
    return Split(np.array(found, object), labels, {"chair": np.array([str("chair" in text) for text in found])})

def load():
    return Dataset(("sleepy", "odd"), texts(600, 0), texts(100, 1), texts(200, 2))

def augment(texts, random):
    return np.array([" ".join(random.permutation(text.split())) for text in texts], object)
"""
ADAMW = {"optimizer": "adamw", "batch": 50, "learning_rate": 0.03}
RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "moods",
    "model": "model.py",
    "data": "data.py",
    "preprocess": {"kind": "text", "buckets": 1000, "length": 48, "character_ngrams": [2, 2], "fold": ["numbers"]},
    "teacher": {"members": [{"weights": "teacher.safetensors"}], "training": {**ADAMW, "epochs": 4}},
    "golden": {"samples": 4},
    "profiles": {"quick": {"distill": {**ADAMW, "epochs": 10, "views": 2}, "gate": {"accuracy_min": 0.9}}},
}


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The package's folder, and what was built."""
    folder = tmp_path_factory.mktemp("moods")
    (folder / "model.py").write_text(MODEL, "utf-8")
    (folder / "data.py").write_text(DATA, "utf-8")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOX_CACHE", str(folder / "cache"))
        teacher(folder / "recipe.yaml")
        recipe = load_recipe(folder / "recipe.yaml")
        built = build(recipe, "quick", Stages(folder / "cache"))
    return pack(built, folder / "out").folder, built


def test_the_embeddings_are_whole_numbers_of_eight_bits_in_the_int8_variant(moods: tuple[Path, Any]) -> None:
    fp32, int8 = (moods[1].made.fp32.content, moods[1].made.int8.content)
    table = 1001 * 8
    assert len(fp32) > 4 * table
    assert len(int8) < table + 4000


def test_the_manifest_says_how_a_text_is_read(moods: tuple[Path, Any]) -> None:
    preprocess = open_package(moods[0]).manifest.preprocess
    assert isinstance(preprocess, TextPreprocess)
    assert (preprocess.buckets, preprocess.length, preprocess.fold) == (1000, 48, ["numbers"])


def test_a_served_model_answers_a_text_as_the_build_did(moods: tuple[Path, Any]) -> None:
    folder, built = moods
    test = built.job.data.test
    with serving(folder) as address:
        answer = httpx.post(f"{address}/predict", json={"texts": test.inputs[:50].tolist()}).json()
        plain = httpx.post(f"{address}/predict", content=b"a quirk?", headers={"content-type": "text/plain"}).json()
    found = [prediction["label"] for prediction in answer["predictions"]]
    labels = np.array(built.job.data.labels)[test.labels[:50]]
    assert np.mean(np.array(found) == labels) >= 0.9
    assert plain["label"] == "odd"
    assert re.fullmatch(r"[0-9a-f]{16}", plain["version"])
