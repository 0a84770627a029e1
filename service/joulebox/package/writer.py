"""Making a model package: written aside, synced, renamed to `DIR/<version>/`, then `DIR/current` points to it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joulebox.package import digest
from joulebox.package.manifest import Manifest
from joulebox.package.reader import CURRENT, MANIFEST, Package, open_package


def write_package(
    out: Path, fields: Mapping[str, Any], files: Mapping[str, bytes], evidence: Mapping[str, bytes]
) -> Package:
    """Writes a package and makes it the current one of `out`; one that is there already stays as it was made.

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
    if not target.exists():
        _place(out, target, {**files, **evidence, MANIFEST: json.dumps(content, indent=1).encode() + b"\n"})
    package = open_package(target)
    package.verify()
    _point(out / CURRENT, manifest.version)
    return package


def _entries(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": digest.sha256(content), "size": len(content)} for name, content in files.items()}


def _seal(content: dict[str, Any]) -> dict[str, Any]:
    content = {**content, "version": digest.version(content)}
    return {**content, "checksum": digest.checksum(content)}


def _place(out: Path, target: Path, files: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        _sync(temporary)
        temporary.rename(target)
        _sync(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _point(link: Path, version: str) -> None:
    """Replaces the symbolic link in one step."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version)
    temporary.replace(link)
    _sync(link.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
