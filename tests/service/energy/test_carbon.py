"""Joules become grams and money by what was set, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.energy import Embodied, Intensity, Price, Rates
from joulebox.energy.carbon import OFF
from joulebox.energy.regions import find

JOULES = st.floats(0, 1e12)
RATES = Rates(Intensity(400.0), Price(0.25, "EUR"), Embodied(1262.304, 4.0))


def test_a_kilowatt_hour_causes_the_intensity_and_costs_the_price() -> None:
    assert RATES.grams(3.6e6) == 400.0
    assert RATES.cost(3.6e6) == 0.25


def test_what_making_the_host_caused_is_spread_evenly_over_its_life() -> None:
    assert RATES.embodied is not None
    assert RATES.embodied.grams_per_second == pytest.approx(0.01)
    assert RATES.embodied_grams(4 * 365.25 * 86_400) == pytest.approx(1_262_304)


def test_what_was_not_set_is_unknown_and_not_0() -> None:
    assert (OFF.grams(1.0), OFF.cost(1.0), OFF.embodied_grams(1.0)) == (None, None, None)
    assert OFF.off
    assert not Rates(price=Price(0.0, "EUR")).off


def test_grams_of_unknown_energy_are_unknown() -> None:
    assert (RATES.grams(None), RATES.cost(None)) == (None, None)


def test_an_intensity_of_0_is_known() -> None:
    assert Rates(Intensity(0.0)).grams(3.6e6) == 0.0


@given(st.lists(JOULES, max_size=20))
def test_the_parts_cause_and_cost_what_the_whole_does(parts: list[float]) -> None:
    assert sum(RATES.grams(part) or 0.0 for part in parts) == pytest.approx(RATES.grams(sum(parts)))
    assert sum(RATES.cost(part) or 0.0 for part in parts) == pytest.approx(RATES.cost(sum(parts)))


def test_the_page_s_example_is_what_comes_out() -> None:
    page = (Path(__file__).parents[3] / "docs/carbon.md").read_text("utf-8")
    germany = find("DE")
    rates = Rates(Intensity(germany.grams_per_kwh, germany), Price(0.31, "EUR"), Embodied(1200.0, 4.0))
    grams, embodied = rates.grams(0.72), rates.embodied_grams(1 / 10)
    assert grams is not None
    assert embodied is not None
    assert f"× {germany.grams_per_kwh} g/kWh = {grams:.4g} g |" in page
    assert f"per s = {embodied:.5g} g |" in page
    assert f"| SCI | {grams + embodied:.6g} g per inference" in page
    assert f"= {rates.cost(0.72):.2g} EUR |" in page
