"""What is served from the start, and what may be loaded: the operator's packages, by the names in their manifests."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from joulebox.package import Package, write_package
from joulebox.runtime.settings import Settings
from joulebox.runtime.sources import NONE, configured, loadable


@pytest.fixture
def folder(tmp_path: Path, tiny: Any) -> Path:
    """A repository: two packages, one of them under another name than its folder's, and what else lies around."""
    folder = tmp_path / "repository"
    write_package(folder / "b", tiny.fields(name="beta"), tiny.files(), {})
    write_package(folder / "alpha", tiny.fields(name="alpha"), tiny.files(), {})
    (folder / "notes").mkdir()
    (folder / "README.md").write_text("packages")
    (folder / "dangling").symlink_to(folder / "nowhere")
    write_package(folder / "changed", tiny.fields(name="changed"), tiny.files(), {})
    manifest = folder / "changed/current/manifest.json"
    manifest.write_text(manifest.read_text().replace('"green"', '"grey"'))
    return folder


def test_packages_are_served_from_the_start_and_a_repositorys_are_not(package: Package, folder: Path) -> None:
    settings = Settings(packages=(package.folder.parent,), repository=folder)
    assert configured(settings) == {"tiny": str(package.folder)}
    assert configured(Settings(repository=folder)) == {}


def test_what_cannot_be_opened_or_is_there_twice_stands_under_its_path(package: Package, tmp_path: Path) -> None:
    missing, again = tmp_path / "missing", tmp_path / "tiny" / "current"
    found = configured(Settings(packages=(package.folder, missing, again)))
    assert found == {"tiny": str(package.folder), str(missing): str(missing), str(again): str(package.folder)}


def test_a_server_without_anything_to_serve_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert configured(Settings()) == {NONE: NONE}
    assert "JOULEBOX_PACKAGES" in caplog.text


def test_a_repository_is_known_by_its_manifests_and_the_rest_is_passed_over(
    folder: Path, package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = loadable(Settings(packages=(package.folder,), repository=folder))
    assert sorted(found) == ["alpha", "beta", "tiny"]
    assert found["beta"].folder.parent == folder / "b"
    assert "its checksum does not match" in caplog.text


def test_a_repository_is_read_as_it_lies_there_now(folder: Path, tiny: Any) -> None:
    settings = Settings(repository=folder)
    first = loadable(settings)["beta"]
    second = write_package(folder / "b", tiny.fields(name="beta", labels=["a", "b", "c"]), tiny.files(), {})
    assert loadable(settings)["beta"].folder == second.folder != first.folder
    assert loadable(Settings(repository=folder / "vanished")) == {}
