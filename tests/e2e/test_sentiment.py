"""The recipe of texts, walked from a fresh clone to labels over HTTP, on few texts: how well it does at length, its report says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = pytest.mark.slow
JOULEBOX = str(Path(sys.executable).parent / "joulebox")
Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]
FEW = """

_load = load


def load() -> Dataset:
    whole = _load()
    return Dataset(LABELS, whole.train.first(1500), whole.validation.first(300), whole.test.first(600))
"""
GATE = {
    "accuracy_min": 0.5,  # of the largest class alone: 0.4
    "teacher_drop_max": 0.3,
    "quantization_drop_max": 0.03,
    "bytes_max": 500_000,
    "parameters_max": 454_000,
}


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """The recipe's own, with few texts, one pass of the teacher over them, and limits for that."""
    folder = tmp_path / "sentiment"
    folder.mkdir()
    for name in ("model.py", "data.py"):
        shutil.copy(root / "models/sentiment" / name, folder)
    with (folder / "data.py").open("a", encoding="utf-8") as file:
        file.write(FEW)
    recipe = yaml.safe_load((root / "models/sentiment/recipe.yaml").read_text("utf-8"))
    recipe["teacher"]["training"]["epochs"] = 1
    quick = recipe["profiles"]["quick"]
    quick["distill"] |= {"batch": 32, "epochs": 4}
    quick["baselines"] = [{"kind": "tf-idf", "samples": 200}]
    quick["gate"] = GATE
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    return folder


def test_a_teacher_is_tuned_a_student_taught_quantized_gated_and_asked(
    folder: Path, environment: dict[str, str], serve: Serve, tmp_path: Path
) -> None:
    pytest.importorskip("tokenizers")
    cached = {**environment, "JOULEBOX_CACHE": str(tmp_path / "cache")}

    def joulebox(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [JOULEBOX, *map(str, arguments)]
        return subprocess.run(command, env=cached, capture_output=True, text=True, check=False)

    recipe, out = folder / "recipe.yaml", tmp_path / "package"
    early = joulebox("build", recipe, "--out", out)
    assert early.returncode == 2
    assert f"`joulebox teacher {recipe}` trains it" in " ".join(early.stderr.split())
    tuned = joulebox("teacher", recipe)
    if "could not be downloaded" in tuned.stderr:
        pytest.skip(tuned.stderr)
    assert tuned.returncode == 0, tuned.stderr[-2000:]
    built = joulebox("build", recipe, "--profile", "quick", "--out", out, "--json")
    assert built.returncode == 0, built.stderr[-2000:]
    said: dict[str, Any] = json.loads(built.stdout)
    teacher, fp32, int8, baseline = said["models"]
    assert teacher["parameters"] > 50 * int8["parameters"]
    assert teacher["quality"]["accuracy"] > int8["quality"]["accuracy"] > baseline["quality"]["accuracy"]
    assert int8["bytes"] < fp32["bytes"] / 3
    with serve([JOULEBOX, "serve", str(out)]) as client:
        for text, label in (
            ("I love this, thank you so much!", "positive"),
            ("worst flight ever, I hate you", "negative"),
        ):
            answer = client.post("/predict", content=text, headers={"content-type": "text/plain"}).json()
            assert answer["label"] == label, answer
