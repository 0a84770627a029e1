"""Small files of the kernel: one value each, read anew each time."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from joulebox.energy.reader import ReadError

MOST_BYTES = 4096  # sysfs gives at most one page
MOST_ENTRIES = 256  # of one folder: no host has that many sensors, and a folder that does is not what it seems


def read_text(path: Path) -> str:
    """A file's text without white space and the NUL of device trees around it.

    Raises:
        ReadError: it cannot be read; its cause is the OSError.
    """
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode(errors="replace").strip(" \t\r\n\0")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error


def read_int(path: Path) -> int:
    """A file's whole number.

    Raises:
        ReadError: it cannot be read or is not a number.
    """
    text = read_text(path)
    try:
        return int(text)
    except ValueError as error:
        raise ReadError(f"{path}: {text[:40]!r}, expected a whole number") from error


def text_of(path: Path) -> str | None:
    """A file's text; None where it cannot be read."""
    try:
        return read_text(path)
    except ReadError:
        return None


def int_of(path: Path) -> int | None:
    """A file's whole number; None where there is none."""
    try:
        return read_int(path)
    except ReadError:
        return None


def listing(folder: Path, pattern: str) -> list[Path]:
    """What matches in a folder, in natural order (`x:2` before `x:10`), dangling links included."""
    try:
        return sorted(islice(folder.glob(pattern), MOST_ENTRIES), key=_natural)
    except OSError:
        return []


def is_denied(error: BaseException) -> bool:
    return isinstance(error.__cause__, PermissionError)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Text and numbers in turn; numbers compare by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", path.name)]
