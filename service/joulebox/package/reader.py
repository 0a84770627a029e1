"""Opening a model package: the manifest is checked whole, and each file's bytes against their digest before use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from joulebox.package import digest
from joulebox.package.errors import PackageError
from joulebox.package.manifest import MANIFEST, SCHEMA_VERSION, Manifest

CURRENT = "current"
MANIFEST_SIZE_MAX = 16 * 2**20  # bytes; a manifest has a few thousand


@dataclass(frozen=True)
class Package:
    """A package whose manifest is sound. Its files are checked as they are read."""

    folder: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The bytes of a listed file, which are the ones that its digest was checked on.

        Raises:
            PackageError: the file is unlisted, missing, outside the package, or not what its digest says.
        """
        entry = self.manifest.files.get(name) or self.manifest.evidence.get(name)
        if entry is None:
            raise PackageError(f"{self.folder}: {name} is not listed in the manifest, so it is not read")
        path = self.folder / name
        content = _read(_inside(path, self.folder), entry.size)
        if len(content) != entry.size:
            raise PackageError(
                f"{path} has {_size(path)} bytes, expected {entry.size}: truncated or changed; build or copy the package again"
            )
        actual = digest.sha256(content)
        if actual != entry.sha256:
            raise PackageError(
                f"{path} has SHA-256 {actual}, expected {entry.sha256}: changed; build or copy the package again"
            )
        return content

    def verify(self) -> None:
        """Reads every listed file, and looks for others.

        Raises:
            PackageError: a file is missing, changed or unlisted.
        """
        listed = {*self.manifest.files, *self.manifest.evidence}
        for name in sorted(listed):
            self.read(name)
        found = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not _is_folder(path)}
        unlisted = found - listed - {MANIFEST}
        if unlisted:
            raise PackageError(f"{self.folder} holds {min(unlisted)}, which its manifest does not list; remove it")


def open_package(path: Path) -> Package:
    """The package at `DIR/<version>`, or the current one of `DIR` (or `DIR/current`).

    A copy of `DIR` that lost its symbolic links (as a bento's does) is read too, where it holds one version.

    Raises:
        PackageError: there is none, or its manifest is unsound, changed, or of a newer schema.
    """
    folder = _find(path)
    return Package(folder, _manifest(_inside(folder / MANIFEST, folder)))


def _find(path: Path) -> Path:
    try:
        for folder in (path, path / CURRENT):
            if (folder / MANIFEST).is_file():
                return folder.resolve()
        versions = sorted(path.glob(f"[!.]*/{MANIFEST}")) if not (path / CURRENT).is_symlink() else []
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error
    if len(versions) == 1:
        return versions[0].parent.resolve()
    if versions:
        names = ", ".join(version.parent.name for version in versions)
        raise PackageError(f"{path} holds several versions and no {CURRENT}: name one of {names}")
    raise PackageError(
        f"{path} is no model package: there is no {MANIFEST} in it or in {path / CURRENT}; `joulebox build` makes one"
    )


def _manifest(path: Path) -> Manifest:
    raw = _read(path, MANIFEST_SIZE_MAX)
    content = _parse(path, raw)
    schema = content.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise PackageError(
            f"{path} has schema version {schema}; this joulebox reads up to {SCHEMA_VERSION}: upgrade it"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise PackageError(f"{path}: {key}: {problem['msg']} (value {str(problem['input'])[:80]})") from error
    if not _is_sealed(content, manifest, raw):
        raise PackageError(
            f"{path} was changed after it was made: its checksum does not match; build or copy the package again"
        )
    return manifest


def _is_sealed(content: dict[str, Any], manifest: Manifest, raw: bytes) -> bool:
    """Whether the digests are those of the content, and the bytes the very ones that were written."""
    try:
        sealed = digest.checksum(content) == manifest.checksum and digest.version(content) == manifest.version
        return sealed and digest.render(content) == raw
    except (ValueError, RecursionError):  # a number that is not finite, half a surrogate pair, or too deep
        return False


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is not JSON ({str(error)[:120]}); build or copy the package again") from error
    if not isinstance(content, dict):
        raise PackageError(f"{path} is not a JSON object; build or copy the package again")
    return content  # pyright: ignore[reportUnknownVariableType]  # the schema checks it next


def _inside(path: Path, folder: Path) -> Path:
    """The path, once its symbolic links are known to end at a regular file in the folder.

    Raises:
        PackageError: it leads outside, or to no regular file.
    """
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, before Python 3.13
        raise PackageError(f"{path} cannot be read: {error}") from error
    if not resolved.is_relative_to(folder.resolve()):
        raise PackageError(f"{path} leads outside the package (to {resolved}), so it is not read")
    if resolved.exists() and not resolved.is_file():
        raise PackageError(f"{path} is no regular file, so it is not read")
    return path


def _is_folder(path: Path) -> bool:
    """A link to a folder is none: what lies behind it would go unlisted."""
    return path.is_dir() and not path.is_symlink()


def _read(path: Path, limit: int) -> bytes:
    """At most one byte more than `limit`, so that a longer file shows."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error


def _size(path: Path) -> int:
    return path.stat().st_size
