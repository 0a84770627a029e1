"""What an operator says of electricity and host; half of it is refused."""

from __future__ import annotations

import pytest

from joulebox.energy.carbon import OFF
from joulebox.runtime.rates import load_rates
from joulebox.runtime.settings import SettingError


def test_without_a_setting_nothing_is_assumed() -> None:
    assert load_rates({}) == OFF


def test_a_region_is_looked_up_and_says_of_when_it_is() -> None:
    intensity = load_rates({"JOULEBOX_CARBON_REGION": "fra"}).intensity
    assert intensity is not None
    assert intensity.region is not None
    assert (intensity.grams_per_kwh, intensity.region.code, intensity.region.year) == (44.2, "FR", 2024)


def test_a_configured_intensity_wins_over_the_region() -> None:
    given = {"JOULEBOX_CARBON_REGION": "DE", "JOULEBOX_CARBON_INTENSITY": "381"}
    intensity = load_rates(given).intensity
    assert intensity is not None
    assert (intensity.grams_per_kwh, intensity.region) == (381.0, None)
    with pytest.raises(SettingError, match="no such region"):
        load_rates({**given, "JOULEBOX_CARBON_REGION": "Germany"})


def test_a_price_and_embodied_carbon_are_read() -> None:
    rates = load_rates({
        "JOULEBOX_PRICE_KWH": "0.31", "JOULEBOX_CURRENCY": "EUR",
        "JOULEBOX_EMBODIED_KG": "1200", "JOULEBOX_LIFETIME_YEARS": "4",
    })  # fmt: skip
    assert rates.price is not None
    assert rates.embodied is not None
    assert (rates.price.per_kwh, rates.price.currency) == (0.31, "EUR")
    assert (rates.embodied.kilograms, rates.embodied.lifetime_years) == (1200.0, 4.0)
    assert rates.intensity is None


@pytest.mark.parametrize(
    ("variable", "value", "needs"),
    [
        ("JOULEBOX_PRICE_KWH", "0.31", "JOULEBOX_CURRENCY"),
        ("JOULEBOX_CURRENCY", "EUR", "JOULEBOX_PRICE_KWH"),
        ("JOULEBOX_EMBODIED_KG", "1200", "JOULEBOX_LIFETIME_YEARS"),
        ("JOULEBOX_LIFETIME_YEARS", "4", "JOULEBOX_EMBODIED_KG"),
    ],
)
def test_half_of_a_pair_is_refused(variable: str, value: str, needs: str) -> None:
    with pytest.raises(SettingError, match=f"{variable}=.* says nothing without {needs}"):
        load_rates({variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JOULEBOX_CARBON_REGION", "UK"),
        ("JOULEBOX_CARBON_INTENSITY", "-1"),
        ("JOULEBOX_CARBON_INTENSITY", "nan"),
        ("JOULEBOX_CARBON_INTENSITY", "inf"),
        ("JOULEBOX_PRICE_KWH", "31 ct"),
        ("JOULEBOX_CURRENCY", "eur"),
        ("JOULEBOX_CURRENCY", "€"),
        ("JOULEBOX_EMBODIED_KG", "0"),
        ("JOULEBOX_LIFETIME_YEARS", "0"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{variable}='{value}'") as caught:
        load_rates({variable: value})
    assert "\n" not in str(caught.value)


def test_other_settings_do_not_matter() -> None:
    assert load_rates({"JOULEBOX_QUEUE_SIZE": "lots", "JOULEBOX_PACKAGES": "/none"}) == OFF
