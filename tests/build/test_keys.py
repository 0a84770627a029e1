"""Whatever changes a stage's result changes its key: code beside the recipe's, what a network starts from, and the preprocessing."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from joulebox_build import steps
from joulebox_build.commands.teacher import teacher
from joulebox_build.given import steps as given_steps
from joulebox_build.given.job import open_given
from joulebox_build.job import STAGES, Job, open_job
from joulebox_build.provenance import code_of, stage_code
from joulebox_build.recipe import load_any_recipe, load_recipe
from joulebox_build.recipe.given import GivenRecipe
from joulebox_build.stage import Stages

BESIDE = "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parent))\n"
GIVEN = """
import pathlib, torch
from torch import nn

def given():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    network.load_state_dict(torch.load(pathlib.Path(__file__).with_name("weights.pt")))
    return network
"""
GATE = {"agreement_min": 0.1, "sure_agreement_min": 0.1, "speedup_min": 0.001, "bytes_max": 9000}
GIVEN_DATA = """
import numpy as np
from joulebox_build.data.unlabelled import Unlabelled

def load():
    images = np.random.default_rng(0).integers(0, 255, (20, 1, 12, 12)).astype(np.uint8)
    return Unlabelled(("a", "b", "c"), images[:10], images[10:])
"""


def opened(recipe: Path, cache: Path) -> Job:
    return open_job(load_recipe(recipe), "quick", Stages(cache))


def test_code_is_a_file_and_what_it_imports_from_beside_it(tmp_path: Path) -> None:
    model, near, far = (tmp_path / name for name in ("model.py", "near.py", "parts/far.py"))
    far.parent.mkdir()
    model.write_text("import near\n", "utf-8")
    near.write_text("from parts.far import X\n", "utf-8")
    far.write_text("X = 1\n", "utf-8")
    (tmp_path / "data.py").write_text("Y = 1\n", "utf-8")
    before = code_of(model)
    (tmp_path / "data.py").write_text("Y = 2\n", "utf-8")
    assert code_of(model) == before
    far.write_text("X = 2\n", "utf-8")
    assert code_of(model) != before


def test_code_is_what_it_imports_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data.py"
    data.write_text("from joulebox_build.data.adapters.augment import shifted\n", "utf-8")
    before = code_of(data)
    monkeypatch.setattr("joulebox_build.provenance.sources", lambda *names: dict.fromkeys(names, "changed"))
    assert code_of(data) != before


@pytest.mark.parametrize(
    "said", ["from .far import X", "from . import far", "from .deep import far", "from .deep.far import X"]
)
def test_code_is_what_a_package_beside_it_imports_from_near(tmp_path: Path, said: str) -> None:
    data, far = tmp_path / "data.py", tmp_path / "parts" / ("deep" if "deep" in said else "") / "far.py"
    far.parent.mkdir(parents=True)
    (far.parent / "__init__.py").touch()
    data.write_text("from parts import X\n", "utf-8")
    (tmp_path / "parts" / "__init__.py").write_text(f"{said}\n", "utf-8")
    digests: set[str] = set()
    for content in ("X = 1\n", "X = 2\n", "from ..near import X\n"):
        far.write_text(content, "utf-8")
        digests.add(code_of(data))
    (tmp_path / "parts" / "near.py").write_text("X = 3\n", "utf-8")
    assert len(digests | {code_of(data)}) == (4 if "deep" in said else 3)


def test_a_teacher_that_reads_its_samples_in_another_way_is_another_teacher(
    folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    encode = "\nimport numpy as np\ndef teacher_encode(images):\n    return (images / 255).astype(np.float32)\n"
    model, recipe = folder / "model.py", write_recipe(folder, lambda _: None)
    plain = model.read_text("utf-8")
    digests: list[str] = []
    for code in (plain, plain + encode, plain + encode.replace("255", "300")):
        model.write_text(code, "utf-8")
        digests.append(steps.teacher(opened(recipe, tmp_path / "cache")).digest)
    assert len(set(digests)) == 3


def test_a_student_that_starts_from_other_weights_is_trained_anew(
    folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    model = folder / "model.py"
    start = "    network = net(8)\n    nn.init.constant_(network[0].weight, float(pathlib.Path(__file__).with_name('start').read_text()))\n"
    code = model.read_text("utf-8").replace("    return net(8)\n", start + "    return network\n")
    model.write_text("import pathlib\n" + code, "utf-8")
    recipe = write_recipe(
        folder, lambda recipe: recipe["profiles"]["quick"]["distill"].update(method="none", epochs=1, views=1)
    )
    cached: list[bool] = []
    for start in ("0.1", "0.1", "0.2"):
        (folder / "start").write_text(start, "utf-8")
        cached.append(steps.student(opened(recipe, tmp_path / "cache"), []).cached)
    assert cached == [False, True, False]


def test_a_teacher_is_trained_anew_for_another_preprocessing(
    folder: Path, tmp_path: Path, write_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOULEBOX_CACHE", str(tmp_path / "cache"))
    weights: list[bytes] = []
    for std in (0.25, 0.5):

        def edit(recipe: Any, std: float = std) -> None:
            recipe["preprocess"]["std"] = [std]
            recipe["teacher"]["training"]["epochs"] = 1

        teacher(write_recipe(folder, edit))
        weights.append((folder / "teacher.safetensors").read_bytes())
    assert weights[0] != weights[1]


def test_a_given_student_of_other_weights_is_exported_anew(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(GIVEN, "utf-8")
    (tmp_path / "data.py").write_text(GIVEN_DATA, "utf-8")
    recipe = {
        "schema_version": 1,
        "name": "given",
        "student": "given",
        "model": "model.py",
        "data": "data.py",
        "preprocess": {"kind": "image", "height": 12, "width": 12, "channels": 1, "mean": [0.5], "std": [0.5]},
        "profiles": {"quick": {"gate": GATE}},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    digests: list[str] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        torch.save(network.state_dict(), tmp_path / "weights.pt")
        loaded = load_any_recipe(tmp_path / "recipe.yaml")
        assert isinstance(loaded, GivenRecipe)
        digests.append(given_steps.fp32(open_given(loaded, "quick", Stages(tmp_path / "cache"))).digest)
    assert digests[0] != digests[1]


def test_what_makes_tensors_of_samples_is_in_the_key_of_each_stage_that_does() -> None:
    for stage in ("teach", "distill", "prune", "qat", "quantize", "baseline", "answer", "corrupt", "occlude"):
        code = stage_code(*STAGES[stage])
        assert {"joulebox_build.data.encode", "joulebox.preprocess.text"} <= set(code), stage
    for stage in ("prune", "qat"):
        assert {"joulebox_build.steps.student", "joulebox_build.steps.teach"} <= set(stage_code(*STAGES[stage])), stage


def test_a_teacher_whose_texts_another_tokenizer_reads_is_another_teacher(
    folder: Path, tmp_path: Path, write_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = folder / "model.py", write_recipe(folder, lambda _: None)
    encode = "\nimport numpy as np\ndef teacher_encode(images):\n    return (images / 255).astype(np.float32)\n"
    model.write_text(model.read_text("utf-8") + encode, "utf-8")
    digests: set[str] = set()
    for version in ("0.22", "0.23"):
        monkeypatch.setattr("joulebox_build.steps.teach.tokenizers", lambda version=version: {"tokenizers": version})
        digests.add(steps.teacher(opened(recipe, tmp_path / "cache")).digest)
    assert len(digests) == 2
