"""Servers started as a user would, on a free loopback port, and stopped so that nothing is left."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from joulebox_build.model import load_folder
from joulebox_build.recipe import load_recipe

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
        for image, label in zip(data.test.images[:20], data.test.labels[:20], strict=True)
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
        port = _free_port()
        log = tmp_path / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                env=environment,
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                _await_ready(client, process, log)
                yield client
        finally:
            left = _stop(process)
        assert not left, f"{left} outlived the server:\n{log.read_text()[-4000:]}"
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))  # fails where something listens still

    return serve


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.2)
    pytest.fail(f"the server did not become ready (exit status {process.poll()}):\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """What of the server and its children was left to kill."""
    if process.poll() is not None:
        return []
    server = psutil.Process(process.pid)
    family = [server, *server.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(family, STOP_S)
    for survivor in left:
        survivor.kill()
    process.wait()
    return left
