"""A CSV file with a header, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from joulebox_build.errors import DataError


def header_of(path: Path, needed: Sequence[str]) -> list[str]:
    """The names of all columns, among which are those that are needed.

    Raises:
        DataError: the file cannot be read, lacks one, or has one twice.
    """
    header = next(_lines(path), list[str]())
    for names, where in ((header, "there"), (needed, "asked for")):
        if len(set(names)) != len(names):
            raise DataError(
                f"{path}: column {max(names, key=list(names).count)!r} is {where} twice; columns need names of their own"
            )
    for name in needed:
        if name not in header:
            for other in (";", "\t", "|"):
                if len(header) == 1 and other in header[0]:
                    raise DataError(f"{path} has its columns apart by {other!r}; expected commas")
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(header[:20])}")
    return header


def rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers as an editor shows them, unless a cell has line breaks.

    Raises:
        DataError: the file cannot be read, or a row has more or fewer cells than the header.
    """
    lines = _lines(path)
    header = next(lines)
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue  # an empty line
        if len(cells) != len(header):
            raise DataError(f"{path}, row {number}: {len(cells)} cells; the header has {len(header)}")
        yield number, dict(zip(header, cells, strict=True))


def class_in(path: Path, row: int, cell: str, column: str) -> str:
    """Raises DataError where the cell is empty."""
    if not cell.strip():
        raise DataError(f"{path}, row {row}, column {column!r}: the class is empty")
    return cell.strip()


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}") from error
