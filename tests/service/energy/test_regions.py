"""The table of regions that ships, and how one is found in it."""

from __future__ import annotations

import re

import pytest

from joulebox.energy.regions import SOURCES, UnknownRegion, find, table


def test_each_line_has_a_code_a_year_and_a_source() -> None:
    for region in table():
        assert re.fullmatch("[A-Z]{2}|US-[A-Z]{2}", region.code)
        assert re.fullmatch("[A-Z]{3}" if region.source == "ember" else "", region.code3)
        assert region.name
        assert 0 < region.grams_per_kwh < 1500
        assert 2020 <= region.year <= 2025
        assert region.source in SOURCES


def test_no_code_stands_for_two_regions() -> None:
    codes = [code for region in table() for code in (region.code, region.code3) if code]
    assert len(codes) == len(set(codes))
    assert len([region for region in table() if region.source == "ember"]) == 210
    assert len([region for region in table() if region.source == "egrid"]) == 51, "with the District of Columbia"


@pytest.mark.parametrize("code", ["DE", "DEU", "de", " De "])
def test_a_country_is_found_by_two_or_three_letters(code: str) -> None:
    region = find(code)
    assert (region.code, region.name, region.grams_per_kwh, region.year) == ("DE", "Germany", 344.1, 2024)


def test_a_state_is_no_country() -> None:
    """`DE` is Germany and `US-DE` Delaware; `CA` is Canada and `US-CA` California."""
    assert [find(code).name for code in ("DE", "US-DE", "CA", "US-CA")] == [
        "Germany", "Delaware", "Canada", "California"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "near"),
    [
        ("UK", "GB (United Kingdom), UA (Ukraine)"),
        ("Germany", "DE (Germany)"),
        ("california", "US-CA (California)"),
        ("US-CAL", "US-CA (California)"),
        ("Korea", "KR (South Korea)"),
    ],
)
def test_an_unknown_code_is_answered_with_those_that_come_near(code: str, near: str) -> None:
    with pytest.raises(UnknownRegion, match="expected the ISO 3166 code of a country") as caught:
        find(code)
    assert near in str(caught.value)


@pytest.mark.parametrize("code", ["", "  ", "?", "GX", "-", "(*" * 500])
def test_an_unknown_code_that_is_near_to_none_names_none(code: str) -> None:
    with pytest.raises(UnknownRegion, match="the table has no such region; expected"):
        find(code)
