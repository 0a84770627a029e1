"""What goes wrong in a model folder's own functions is one line that says where, and their own error stays its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import BuildError, RecipeError
from joulebox_build.recipe import load_recipe
from joulebox_build.train.model import load_data, load_folder
from joulebox_build.train.views import view

MODEL = """
from torch import nn

def teacher():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))

student = teacher
"""
DATA = """
import numpy as np
from joulebox_build.data.dataset import Dataset, Split

def split(seed):
    random = np.random.default_rng(seed)
    return Split(random.integers(0, 99, (20, 1, 6, 6)).astype(np.uint8), np.arange(20) % 2)

def load():
    return Dataset(("even", "odd"), split(0), split(1), split(2))

def augment(images, random):
    return np.roll(images, 1, 3)
"""
RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "noise",
    "model": "model.py",
    "data": "data.py",
    "preprocess": {"kind": "image", "height": 6, "width": 6, "channels": 1, "mean": [0.2], "std": [0.25]},
    "teacher": {"members": [{"weights": "teacher.safetensors"}]},
    "profiles": {"quick": {"distill": {"epochs": 1}}},
}
ENCODE = "def teacher_encode(images):\n    "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("model.py", MODEL), ("data.py", DATA), ("recipe.yaml", yaml.safe_dump(RECIPE))):
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    """The model folder with other code."""
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")
    return folder


def opened(folder: Path) -> tuple[Any, Dataset, Any]:
    recipe = load_recipe(folder / "recipe.yaml")
    found = load_folder(recipe)
    return found, *load_data(found, recipe)


def test_an_error_in_load_names_file_and_line(folder: Path) -> None:
    changed(folder, "data.py", "def load():\n", "def load():\n    {}['absent']\n")
    with pytest.raises(RecipeError, match=r"/data\.py, line 10: load\(\) fails: KeyError: 'absent'$") as caught:
        opened(folder)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_the_build_is_said_as_it_is(folder: Path) -> None:
    code = "def load():\n    from joulebox_build.errors import DataError\n    raise DataError('no such file')\n"
    with pytest.raises(BuildError, match=r"^no such file$"):
        opened(changed(folder, "data.py", "def load():\n", code))


def test_an_error_below_the_file_names_the_files_own_line(folder: Path) -> None:
    changed(folder, "data.py", "return np.roll(images, 1, 3)", "return np.concatenate(images[0], 7)")
    found, data, _ = opened(folder)
    with pytest.raises(RecipeError, match=r"/data\.py, line 13: augment\(\) fails: "):
        view(data.train.inputs, 0, seed=0, augment=found.augment)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("images[:-3]", r"augment\(\) gives uint8 \[17, 1, 6, 6\] for uint8 \[20, 1, 6, 6\]; expected as many"),
        ("images[:, :, :4]", r"gives uint8 \[20, 1, 4, 6\] for uint8 \[20, 1, 6, 6\]"),
        ("images / 255", r"gives float64 .* for uint8 "),
        ("list(images)", r"data\.py: augment\(\) gives list; expected a NumPy array"),
    ],
)
def test_augment_keeps_number_shape_and_type(folder: Path, code: str, said: str) -> None:
    changed(folder, "data.py", "return np.roll(images, 1, 3)", f"return {code}")
    found, data, _ = opened(folder)
    with pytest.raises(RecipeError, match=said):
        view(data.train.inputs, 0, seed=0, augment=found.augment)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("images.absent", r"/model\.py, line \d+: teacher_encode\(\) fails: AttributeError: .*absent"),
        ("[1]", r"teacher_encode\(\) gives list; expected a NumPy array"),
        ("images[0].astype('float32')", r"gives float32 \[1, 6, 6\] for 2 samples; expected a row for each"),
        ("images", r"teacher_encode\(\) gives uint8; expected float32 or int64"),
    ],
)
def test_what_the_teacher_takes_is_held_to_it(folder: Path, code: str, said: str) -> None:
    changed(folder, "model.py", "student =", f"{ENCODE}return {code}\n\nstudent =")
    found, data, given = opened(folder)
    with pytest.raises(RecipeError, match=said):
        found.teacher_input(given, data)


def test_what_the_teacher_takes_may_be_made_in_place(folder: Path) -> None:
    code = "images //= 2\n    return images.astype('float32')"
    changed(folder, "model.py", "student =", f"{ENCODE}{code}\n\nstudent =")
    found, data, given = opened(folder)
    before = data.train.inputs.copy()
    found.teacher_input(given, data).encode(data.train.inputs)
    np.testing.assert_array_equal(data.train.inputs, before)


def test_a_file_that_cannot_be_imported_names_the_line(folder: Path) -> None:
    changed(folder, "model.py", "def teacher", "1 / 0\n\ndef teacher")
    with pytest.raises(RecipeError, match=r"model\.py, line 4 cannot be imported: ZeroDivisionError: division by zero"):
        opened(folder)
