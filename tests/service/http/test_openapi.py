"""The OpenAPI document is true: schemathesis asks the real server all that the document says may be asked, and what it
does not, and holds each answer against it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import serving

ALL = {
    "JOULEBOX_SHARED_MEMORY": "1",
    "JOULEBOX_BATCH_MAX": "8",
    "JOULEBOX_ENERGY_BUDGETS": "*=1W",
    "JOULEBOX_ENERGY_SAVING_MS": "5",
    "JOULEBOX_CARBON_REGION": "DE",
    "JOULEBOX_PRICE_KWH": "0.31",
    "JOULEBOX_CURRENCY": "EUR",
}
"""So that there is all that can be answered."""
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Iterator[str]:
    """Its own, since models are loaded and regions are opened."""
    folder = tmp_path_factory.mktemp("served")
    tiny.write_package(folder / "tiny", tiny.fields(), tiny.files(), {})
    with serving(folder / "tiny", environment=ALL) as address:
        yield address


def test_every_answer_is_as_documented(server: str, tmp_path: Path) -> None:
    """Run as a command: its pytest plugin takes the document while tests are collected, when there is no server yet."""
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "--no-color", "run"]
    command.append(f"{server}/docs.json")
    environment = {**os.environ, "VERSION": httpx.get(f"{server}/v2/models/tiny").json()["versions"][0]}
    done = subprocess.run(
        command,
        cwd=tmp_path,  # where it caches
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Server error" not in done.stdout


def test_it_says_what_the_native_api_takes_and_answers(server: str) -> None:
    document = httpx.get(f"{server}/docs.json").json()
    for path, names in (
        ("/predict", ["top", "x-request-timeout-ms"]),
        ("/models/{name}/predict", ["name", "top", "x-request-timeout-ms"]),
    ):
        operation = document["paths"][path]["post"]
        assert [parameter["name"] for parameter in operation["parameters"]] == names
        assert operation["requestBody"]["content"].keys() == {
            "application/json", "multipart/form-data", "image/*", "application/octet-stream", "text/plain"
        }  # fmt: skip
        assert operation["responses"].keys() == {"200", "400", "401", "404", "405", "413", "429", "503"}


def test_the_page_that_shows_it_is_there(server: str) -> None:
    assert httpx.get(f"{server}/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny", "/energy", "/livez", "/readyz"]
)
def test_what_is_documented_is_there(server: str, path: str) -> None:
    assert path.replace("tiny", "{name}") in httpx.get(f"{server}/docs.json").json()["paths"]
    assert httpx.get(f"{server}{path}").status_code == 200
