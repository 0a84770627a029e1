"""Making a model package: written aside, synced, renamed to `DIR/<version>/`, then `DIR/current` points to it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joulebox.package import digest
from joulebox.package.errors import PackageError
from joulebox.package.manifest import MANIFEST, Manifest
from joulebox.package.reader import CURRENT, Package, open_package

MAKING = ".making-"


def write_package(
    out: Path, fields: Mapping[str, Any], files: Mapping[str, bytes], evidence: Mapping[str, bytes]
) -> Package:
    """Writes a package and makes it the current one of `out`; one that is there already, whole, stays as it was made.

    Writers of one `out` take turns. What a killed one left behind, the next one removes.

    Args:
        fields: the manifest's fields without version, files, evidence and checksum.
        files: relative path to content, of what the model is.
        evidence: relative path to content, of what was found out about it.

    Raises:
        ValidationError: the fields make no sound manifest.
        OSError: `out` cannot be written; nothing is left behind.
    """
    content = _seal({**fields, "files": _entries(files), "evidence": _entries(evidence)})
    manifest = Manifest.model_validate(content)
    out.mkdir(parents=True, exist_ok=True)
    target = out / manifest.version
    with _only_writer(out):
        if not _is_whole(target):
            _place(out, target, {**files, **evidence, MANIFEST: digest.render(content)})
        package = open_package(target)
        package.verify()
        _point(out / CURRENT, manifest.version)
    return package


@contextmanager
def _only_writer(out: Path) -> Generator[None]:
    """Holds the lock on `out` (the kernel drops it with the process), and clears what others left."""
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for leftover in out.glob(f"{MAKING}*"):
            _remove(leftover)
        yield
    finally:
        os.close(handle)


def _is_whole(target: Path) -> bool:
    try:
        open_package(target).verify()
    except PackageError:
        return False
    return True


def _entries(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": digest.sha256(content), "size": len(content)} for name, content in files.items()}


def _seal(content: dict[str, Any]) -> dict[str, Any]:
    content = {**content, "version": digest.version(content)}
    return {**content, "checksum": digest.checksum(content)}


def _place(out: Path, target: Path, files: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(dir=out, prefix=MAKING))
    try:
        for name, content in files.items():
            _write(temporary / name, content)
        temporary.chmod(0o755)
        for folder in (temporary, *(path for path in temporary.rglob("*") if path.is_dir())):
            _sync(folder)
        if target.exists() or target.is_symlink():  # damaged, or it would have stayed
            target.rename(out / f"{temporary.name}-damaged")
        temporary.rename(target)
        _sync(out)
    finally:
        _remove(temporary)
        _remove(out / f"{temporary.name}-damaged")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _point(link: Path, version: str) -> None:
    """Replaces the symbolic link in one step."""
    temporary = link.with_name(f"{MAKING}{link.name}")
    temporary.symlink_to(version)
    try:
        temporary.replace(link)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(link.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
