"""Servers started as a user would, on a free loopback port, and stopped so that nothing is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from joulebox_build.recipe import load_recipe
from joulebox_build.train.model import load_folder
from servers import running

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 40.0
Sample = tuple[bytes, str]
Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def package() -> Path:
    """The shipped model package."""
    path = ROOT / "models/fashion/package"
    if not path.is_dir():
        pytest.fail(f"{path} is missing: `make package` builds it")
    return path


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """The first test images as PNG files, with their labels."""
    data = load_folder(load_recipe(ROOT / "models/fashion/recipe.yaml")).load()
    return [
        (_png(image[0]), data.labels[label])
        for image, label in zip(data.test.inputs[:20], data.test.labels[:20], strict=True)
    ]


def _png(pixels: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")  # pyright: ignore[reportArgumentType]
    return file.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """This one without the checkout on its path, and with a store of bentos of its own."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key == "JOULEBOX_DATA" or not key.startswith(("PYTHON", "BENTOML", "JOULEBOX", "VIRTUAL"))
    }
    return {**kept, "BENTOML_HOME": str(tmp_path / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Serve:
    """Runs a command with `--port PORT` added, until its server is ready; afterwards checks that nothing is left."""

    @contextmanager
    def serve(command: Sequence[str]) -> Generator[httpx.Client]:
        with running("--host", "127.0.0.1", command=command, environment=environment, folder=tmp_path) as server:
            with httpx.Client(base_url=server.address, timeout=30) as client:
                yield client
            server.stop(STOP_S)

    return serve
