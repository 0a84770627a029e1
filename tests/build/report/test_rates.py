"""Grams and money of a million inferences, where somebody has said what a kWh causes and costs."""

import pytest

from joulebox_build.errors import BuildError
from joulebox_build.report.rates import as_json, footprint, rates_of


def test_nothing_is_assumed() -> None:
    rates = rates_of({})
    assert as_json(rates) is None
    assert footprint(rates, 1.0) == {"grams_per_million": None, "cost_per_million": None}


def test_grams_and_price_are_of_a_million_inferences() -> None:
    rates = rates_of({"JOULEBOX_CARBON_INTENSITY": "360", "JOULEBOX_PRICE_KWH": "0.5", "JOULEBOX_CURRENCY": "EUR"})
    found = footprint(rates, 3.6e-3)  # a million are a thousandth of a kWh
    assert found["grams_per_million"] == pytest.approx(0.36)
    assert found["cost_per_million"] == pytest.approx(0.0005)
    assert footprint(rates, None) == {"grams_per_million": None, "cost_per_million": None}


def test_a_region_says_its_year_and_origin() -> None:
    said = as_json(rates_of({"JOULEBOX_CARBON_REGION": "DE"}))
    assert said is not None
    assert "Germany, 20" in said["intensity_source"]
    assert "Ember" in said["intensity_source"]


def test_a_wrong_setting_is_refused_in_one_line() -> None:
    with pytest.raises(BuildError, match="JOULEBOX_CARBON_REGION"):
        rates_of({"JOULEBOX_CARBON_REGION": "Atlantis"})
