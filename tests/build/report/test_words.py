"""Figures have three digits in a good unit, and never an exponent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.bench.words import scaled_joules
from joulebox_build.report import words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.size(999), "999 B"),
        (words.size(999_600), "1 MB"),
        (words.size(61_172), "61.2 kB"),
        (words.size(2.5e13), "25,000 GB"),
        (words.time(0.0009996), "1 ms"),
        (words.time(0.00012), "120 µs"),
        (words.time(0.99961), "1 s"),
        (words.time(7200), "120 min"),
        (words.beside(1, 1234), "1/1,234 of"),
        (words.beside(1234, 1), "1,234 ×"),
        (words.ratio(999.9), "1,000 ×"),
        (words.joules(0.9997), "1 J"),
        (words.joules(1500), "1,500 J"),
    ],
)
def test_they_go_to_the_next_unit_where_three_digits_do_not_hold_them(said: str, expected: str) -> None:
    assert said == expected


@given(st.floats(1e-9, 1e12))
def test_none_has_an_exponent(value: float) -> None:
    for said in (words.size(value), words.time(value), words.ratio(value), words.beside(1, value), words.amount(value)):
        assert "e" not in said.lower()


@given(st.floats(1e-9, 1e9))
def test_nor_have_joules(value: float) -> None:
    assert "e" not in scaled_joules(value)
