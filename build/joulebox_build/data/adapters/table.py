"""A CSV file: a column of classes, some of groups, all others numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from joulebox_build.data.adapters import csvfile
from joulebox_build.data.adapters.groups import named
from joulebox_build.data.adapters.split import three_way
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError

LARGEST = float(np.finfo(np.float32).max)
CELLS_MAX = 250_000_000  # a gigabyte of float32


def read_table(path: Path, *, label: str, slices: Sequence[str] = (), seed: int = 0) -> Dataset:
    """Numbers float32 `[N, columns]`, in the file's order of columns without the label's and those of groups.

    Args:
        slices: columns that name the group that a sample falls into; the model does not see them.

    Raises:
        DataError: the file cannot be read, lacks a column, or a cell is not a finite number; it says which.
    """
    header = csvfile.header_of(path, [label, *slices])
    features = [name for name in header if name not in {label, *slices}]
    if not features:
        raise DataError(f"{path} has {', '.join(header)} alone; expected columns of numbers beside the class")
    names, groups = list[str](), {name: list[str]() for name in slices}
    rows: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    for number, row in csvfile.rows(path):
        if (len(rows) + 1) * len(features) > CELLS_MAX:
            raise DataError(f"{path} has more than {CELLS_MAX:,} cells, which would not lie in memory; take fewer rows")
        names.append(csvfile.class_in(path, number, row[label], label))
        for name, column in groups.items():
            column.append(row[name])
        cells = [_number(path, number, feature, row[feature]) for feature in features]
        rows.append(np.asarray(cells, np.float32))
    if not rows:
        raise DataError(f"{path} has a header and no rows; expected one for each sample")
    return three_way(path, np.stack(rows), names, named(path, groups), seed=seed)


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise DataError(
            f"{path}, row {row}, column {column!r}: {cell[:40]!r} is not a number; "
            "a column of groups is named by --slice, one of texts by --text"
        ) from None
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise DataError(
            f"{path}, row {row}, column {column!r}: {cell[:40]!r} is not a finite float32 number; fill it in, or remove the row"
        )
    return value
