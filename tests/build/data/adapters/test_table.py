"""A CSV file: what is written is what is read, and a wrong cell is named by row and column."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebox_build.data.adapters import read_table
from joulebox_build.errors import DataError

Row = tuple[float, float, str]
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def write(path: Path, rows: list[Row], header: tuple[str, ...] = ("a", "b", "kind")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=10, max_size=20, unique_by=lambda pair: np.float32(pair[0])),
    names=st.tuples(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), st.just('b,"x"\n')
    ),
)
def test_what_is_written_is_what_is_read(
    tmp_path: Path, values: list[tuple[float, float]], names: tuple[str, str]
) -> None:
    rows = [(*pair, name) for name in names for pair in values]
    data = read_table(write(tmp_path / "x.csv", rows), label="kind")
    read = [
        (*map(float, sample), data.labels[label])
        for split in data.splits().values()
        for sample, label in zip(split.inputs, split.labels, strict=True)
    ]
    assert sorted(read) == sorted((*map(float, pair), name.strip()) for *pair, name in rows)
    assert data.train.inputs.dtype == np.float32


GOOD: list[Row] = [(float(n), n / 2, "up" if n % 2 else "down") for n in range(40)]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("nan", "row 5, column 'b': 'nan' is not a finite float32 number"),
        ("1e39", "row 5, column 'b': '1e39' is not a finite float32 number"),
        ("", "row 5, column 'b': '' is not a number"),
        ("n/a", "row 5, column 'b': 'n/a' is not a number"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, cell: str, message: str) -> None:
    rows: list[tuple[object, ...]] = list(GOOD)
    rows[3] = (1.0, cell, "up")
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "x.csv", rows), label="kind")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "has no column 'kind'; it has a, b"),
        ("kind\nup\n", "has kind alone; expected columns of numbers"),
        ("a,a,kind\n1,2,up\n", "column 'a' is there twice"),
        ("a,kind\n1\n", "row 2: 1 cells; the header has 2"),
        ("a,kind\n1,\n", "row 2, column 'kind': the class is empty"),
        ("a,kind\n", "has a header and no rows"),
        ("", "has no column 'kind'"),
        ("a;b;kind\n1;2;x\n", "has its columns apart by ';'; expected commas"),
        ("a\tb\tkind\n1\t2\tx\n", r"has its columns apart by '\\t'; expected commas"),
        ('a,kind\n"1,up\n', "is no CSV file in UTF-8: unexpected end of data"),
        ("a,kind\n" + "1,up\n" * 20, "all 20 samples are of class 'up'"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "x.csv", label="kind")


def test_columns_of_groups_are_slices_and_no_inputs(tmp_path: Path) -> None:
    rows = [(float(n), f" site {n % 3} " if n % 3 else "", "up" if n % 2 else "down") for n in range(40)]
    data = read_table(write(tmp_path / "x.csv", rows), label="kind", slices=["b"])  # pyright: ignore[reportArgumentType]
    assert data.train.inputs.shape[1:] == (1,)
    for split in data.splits().values():
        expected = [f"site {int(n) % 3}" if n % 3 else "(empty)" for n in split.inputs[:, 0]]
        assert split.slices["b"].tolist() == expected


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["c"], "has no column 'c'; it has a, b, kind"),
        (["kind"], "column 'kind' is asked for twice"),
        (["a", "b"], "has a, b, kind alone; expected columns of numbers"),
        (["a"], r"slice 'a' has 40 groups, such as '0.0'; expected at most 20: join some"),
    ],
)
def test_columns_that_cannot_be_groups_are_refused(tmp_path: Path, slices: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "x.csv", GOOD), label="kind", slices=slices)


def test_a_text_is_told_from_a_wrong_number(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,kind\nwhat a day,up\n", "utf-8")
    with pytest.raises(
        DataError, match=r"'what a day' is not a number; .*groups is named by --slice, .*texts by --text"
    ):
        read_table(tmp_path / "x.csv", label="kind")


def test_a_file_in_another_encoding_or_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("a,kind\n1,größe\n".encode("latin-1"))
    with pytest.raises(DataError, match="is no CSV file in UTF-8"):
        read_table(tmp_path / "x.csv", label="kind")
    with pytest.raises(DataError, match="No such file or directory; expected a CSV file"):
        read_table(tmp_path / "missing.csv", label="kind")


def test_more_than_memory_should_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulebox_build.data.adapters.table.CELLS_MAX", 50)
    with pytest.raises(DataError, match="has more than 50 cells"):
        read_table(write(tmp_path / "x.csv", GOOD), label="kind")
