"""Where a data set's files come from."""

# pooch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pooch

from joulebox_build.errors import DataError


def find_files(
    name: str, files: Mapping[str, str], *, folders: Iterable[Path], download: str, hint: str
) -> dict[str, Path]:
    """Gzip files from `$JOULEBOX_DATA`, else from the first of `folders` that has them, else downloaded once.

    Args:
        files: file name to the SHA-256 of its *uncompressed* content, as packagers compress anew.
        download: the address that the file names are appended to.
        hint: what to do where nothing is found.

    Raises:
        DataError: nothing has all the files, or a content differs from its checksum.
    """
    named = os.environ.get("JOULEBOX_DATA")
    for folder in [Path(named)] if named else folders:
        missing = [file for file in files if not (folder / file).is_file()]
        if not missing:
            return {file: _checked(folder / file, digest) for file, digest in files.items()}
        if named:
            raise DataError(f"JOULEBOX_DATA={named} has no {missing[0]}; {hint}")
    cache = pooch.os_cache("joulebox") / "data" / name
    try:
        found = {file: Path(pooch.retrieve(download + file, None, fname=file, path=cache)) for file in files}
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(
            f"the {name} data is not on this machine and could not be downloaded ({reason}); {hint}"
        ) from error
    return {file: _checked(found[file], digest) for file, digest in files.items()}


def _checked(path: Path, digest: str) -> Path:
    try:
        with gzip.open(path) as file:
            actual = hashlib.sha256(file.read()).hexdigest()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as gzip ({error}); delete it and fetch it again") from error
    if actual != digest:
        raise DataError(f"{path} has content of SHA-256 {actual}, expected {digest}; delete it and fetch it again")
    return path
