"""A CSV file: a column of classes, all others numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from joulebox_build.data.adapters.split import three_way
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError

LARGEST = float(np.finfo(np.float32).max)
CELLS_MAX = 250_000_000  # a gigabyte of float32


def read_table(path: Path, *, label: str, seed: int = 0) -> Dataset:
    """Numbers float32 `[N, columns]`, in the file's order of columns without the label's.

    Raises:
        DataError: the file cannot be read, lacks the column, or a cell is not a finite number; it says which.
    """
    features, names = features_of(path, label), list[str]()
    rows: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    for number, row in _rows(path):
        if (len(rows) + 1) * len(features) > CELLS_MAX:
            raise DataError(f"{path} has more than {CELLS_MAX:,} cells, which would not lie in memory; take fewer rows")
        names.append(_label(path, number, row[label], label))
        cells = [_number(path, number, feature, row[feature]) for feature in features]
        rows.append(np.asarray(cells, np.float32))
    if not rows:
        raise DataError(f"{path} has a header and no rows; expected one for each sample")
    return three_way(path, np.stack(rows), names, seed=seed)


def features_of(path: Path, label: str) -> list[str]:
    """The columns but the label's.

    Raises:
        DataError: the file cannot be read, or its header is not what it should be.
    """
    header = next(_lines(path), list[str]())
    if len(set(header)) != len(header):
        raise DataError(
            f"{path}: column {max(header, key=header.count)!r} is there twice; columns need names of their own"
        )
    if label not in header:
        raise DataError(f"{path} has no column {label!r}, which should say the class; it has {', '.join(header[:20])}")
    if len(header) < 2:
        raise DataError(f"{path} has the column {label!r} alone; expected columns of numbers beside it")
    return [name for name in header if name != label]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers as an editor shows them, unless a cell has line breaks."""
    lines = _lines(path)
    header = next(lines)
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue  # an empty line
        if len(cells) != len(header):
            raise DataError(f"{path}, row {number}: {len(cells)} cells; the header has {len(header)}")
        yield number, dict(zip(header, cells, strict=True))


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}") from error


def _label(path: Path, row: int, cell: str, column: str) -> str:
    if not cell.strip():
        raise DataError(f"{path}, row {row}, column {column!r}: the class is empty")
    return cell.strip()


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{path}, row {row}, column {column!r}: {cell[:40]!r} is not a number") from None
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise DataError(
            f"{path}, row {row}, column {column!r}: {cell[:40]!r} is not a finite float32 number; fill it in, or remove the row"
        )
    return value
