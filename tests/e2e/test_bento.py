"""A bento is served from a fresh environment that holds what the bento asks for, and nothing of the checkout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import orjson
import pytest

from joulebox.package import open_package
from servers import wait_until

Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]
pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


def run(*command: str | Path, environment: dict[str, str], folder: Path) -> str:
    result = subprocess.run(
        [str(part) for part in command], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command} failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def installed(bento: Path, folder: Path, environment: dict[str, str]) -> Path:
    """The `bin` of a new virtual environment with the bento's requirements, made as its container would."""
    run(sys.executable, "-m", "venv", folder, environment=environment, folder=bento)
    requirements = bento / "env/python/requirements.txt"
    run(folder / "bin/pip", "install", "--quiet", "-r", requirements, environment=environment, folder=bento / "src")
    found = run(
        folder / "bin/python", "-c", "import joulebox; print(joulebox.__file__)", environment=environment, folder=folder
    )
    assert Path(found.strip()).is_relative_to(folder), "joulebox does not come from the bento's wheel"
    return folder / "bin"


def check(client: httpx.Client, samples: list[tuple[bytes, str]], version: str) -> None:
    answers = [
        client.post("/models/fashion/predict", content=image, headers={"content-type": "image/png"})
        .raise_for_status()
        .json()
        for image, _ in samples
    ]
    right = [answer["label"] == label for answer, (_, label) in zip(answers, samples, strict=True)]
    assert right[0], answers[0]
    assert sum(right) >= 0.75 * len(samples), answers
    assert {answer["version"] for answer in answers} == {version}
    assert client.get("/v2/health/ready").status_code == httpx.codes.OK
    assert "joulebox_inferences_total{" in client.get("/metrics").text
    wait_until(lambda: bool(client.get("/energy").json()["models"]), 10)  # once the ledger has settled
    assert client.get("/energy").json()["models"][0]["model"] == "fashion"


def test_bentos_of_the_checkout_and_of_a_package_are_served(
    root: Path,
    package: Path,
    samples: list[tuple[bytes, str]],
    environment: dict[str, str],
    serve: Serve,
    tmp_path: Path,
) -> None:
    version = open_package(package).manifest.version
    run(sys.executable, "-m", "joulebox_build.packing.wheel", "wheels", environment=environment, folder=root)
    tag = run(BIN / "bentoml", "build", "--output", "tag", environment=environment, folder=root).strip()
    checkout = Path(environment["BENTOML_HOME"], "bentos", *tag.removeprefix("__tag__:").split(":"))
    packed = orjson.loads(run(BIN / "joulebox", "pack", package, "--json", environment=environment, folder=tmp_path))
    assert packed["version"] == version

    fresh = installed(checkout, tmp_path / "fresh", environment)
    requirements = Path("env/python/requirements.txt")
    assert (checkout / requirements).read_text() == (Path(packed["path"]) / requirements).read_text()
    for bento in (checkout, Path(packed["path"])):
        with serve([str(fresh / "bentoml"), "serve", str(bento)]) as client:
            check(client, samples, version)


@pytest.mark.parametrize("damage", ["absent", "old"])
def test_without_our_wheel_bentoml_build_says_how_to_make_it(
    root: Path, environment: dict[str, str], tmp_path: Path, damage: str
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    run("cp", "-r", root / "service", root / "bentofile.yaml", checkout, environment=environment, folder=root)
    if damage == "old":
        run(sys.executable, "-m", "joulebox_build.packing.wheel", "wheels", environment=environment, folder=checkout)
        (checkout / "service/joulebox/__init__.py").write_text("'changed'\n")
    result = subprocess.run(
        [BIN / "bentoml", "build"], env=environment, cwd=checkout, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert result.stderr.strip().endswith("run `make wheel`")
