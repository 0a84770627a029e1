"""A CSV file: a column of texts, one of classes, some of groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from joulebox_build.data.adapters import csvfile
from joulebox_build.data.adapters.groups import named, with_usual
from joulebox_build.data.adapters.split import three_way
from joulebox_build.data.dataset import Dataset
from joulebox_build.errors import DataError

CHARACTERS_MAX = 500_000_000  # of all texts, which lie in memory


def read_texts(path: Path, *, text: str, label: str, slices: Sequence[str] = (), seed: int = 0) -> Dataset:
    """Texts `[N]`, as str objects; columns that are not named are passed over.

    Raises:
        DataError: the file cannot be read, lacks a column, or a text or a class is empty; it says which.
    """
    csvfile.header_of(path, [text, label, *slices])
    texts, names, characters = list[str](), list[str](), 0
    groups = {name: list[str]() for name in slices}
    for number, row in csvfile.rows(path):
        if not row[text].strip():
            raise DataError(f"{path}, row {number}, column {text!r}: the text is empty; remove the row")
        characters += len(row[text])
        if characters > CHARACTERS_MAX:
            raise DataError(
                f"{path} has texts of more than {CHARACTERS_MAX:,} characters, which would not lie in memory; take fewer rows"
            )
        texts.append(row[text])
        names.append(csvfile.class_in(path, number, row[label], label))
        for name, column in groups.items():
            column.append(row[name])
    if not texts:
        raise DataError(f"{path} has a header and no rows; expected one for each sample")
    return with_usual(three_way(path, np.array(texts, object), names, named(path, groups), seed=seed))
