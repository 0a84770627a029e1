"""What the builder has said of electricity: grams and money of a million inferences, and nothing where nothing was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulebox.energy import Rates
from joulebox.energy.regions import SOURCES
from joulebox.runtime.rates import load_rates
from joulebox.runtime.settings import SettingError
from joulebox_build.errors import BuildError

MILLION = 1_000_000


def rates_of(environment: Mapping[str, str]) -> Rates:
    """By the settings of docs/carbon.md.

    Raises:
        BuildError: one is not what it should be.
    """
    try:
        return load_rates(environment)
    except SettingError as error:
        raise BuildError(str(error)) from error


def as_json(rates: Rates) -> dict[str, Any] | None:
    """What was set, and where it comes from; None where neither an intensity nor a price was."""
    if rates.intensity is None and rates.price is None:
        return None
    intensity, price = rates.intensity, rates.price
    region = intensity and intensity.region
    return {
        "grams_per_kwh": intensity and intensity.grams_per_kwh,
        "intensity_source": f"{region.name}, {region.year}; {SOURCES[region.source]}"
        if region
        else intensity and "configured",
        "price_per_kwh": price and price.per_kwh,
        "currency": price and price.currency,
    }


def footprint(rates: Rates, joules_per_inference: float | None) -> dict[str, float | None]:
    """Of a million inferences; None where energy or rate is unknown."""
    joules = None if joules_per_inference is None else joules_per_inference * MILLION
    return {"grams_per_million": rates.grams(joules), "cost_per_million": rates.cost(joules)}
