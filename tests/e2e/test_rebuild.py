"""The shipped recipe, built twice from nothing: the same inputs on one machine make the same package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from joulebox.package import open_package

pytestmark = pytest.mark.slow


def build(root: Path, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """From a cache of its own."""
    folder.mkdir()
    command = [
        Path(sys.executable).parent / "joulebox",
        "build",
        root / "models/fashion/recipe.yaml",
        "--profile",
        "quick",
    ]
    result = subprocess.run(
        [*command, "--out", folder / "package", "--json"],
        env={**environment, "JOULEBOX_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert not any(stage["cached"] for stage in orjson.loads(result.stdout)["stages"])
    manifest = open_package(folder / "package").manifest
    return {"version": manifest.version, **{name: entry.sha256 for name, entry in manifest.files.items()}}


def test_two_builds_from_clean_caches_give_one_version(root: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert build(root, tmp_path / "one", environment) == build(root, tmp_path / "two", environment)
