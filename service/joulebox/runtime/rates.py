"""What an operator has said of electricity and host, as the rates that turn joules into grams and money."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joulebox.energy import Embodied, Intensity, Price, Rates
from joulebox.energy.regions import UnknownRegion, find
from joulebox.runtime.settings import SettingError, Settings, load_settings, variable

FIELDS = ("carbon_region", "carbon_intensity", "price_kwh", "currency", "embodied_kg", "lifetime_years")


def load_rates(environment: Mapping[str, str]) -> Rates:
    """The rates by the environment alone, whatever else it sets.

    Raises:
        SettingError: one is malformed or out of range, names no region, or lacks the other that it needs.
    """
    given = {variable(field): environment[variable(field)] for field in FIELDS if variable(field) in environment}
    return rates_of(load_settings(given, Path()))


def rates_of(settings: Settings) -> Rates:
    """The rates; an intensity that is configured wins over the region's.

    Raises:
        SettingError: a region is not in the table, or a setting lacks the other that it needs.
    """
    price = _both(settings, "price_kwh", "currency")
    embodied = _both(settings, "embodied_kg", "lifetime_years")
    return Rates(_intensity(settings), Price(*price) if price else None, Embodied(*embodied) if embodied else None)


def _intensity(settings: Settings) -> Intensity | None:
    table = None
    if settings.carbon_region is not None:
        try:
            region = find(settings.carbon_region)
        except UnknownRegion as error:
            raise SettingError(
                f"{variable('carbon_region')}={settings.carbon_region[:80]!r}: {error};"
                f" or leave it out and set {variable('carbon_intensity')}"
            ) from error
        table = Intensity(region.grams_per_kwh, region)
    return table if settings.carbon_intensity is None else Intensity(settings.carbon_intensity)


def _both(settings: Settings, one: str, other: str) -> tuple[Any, Any] | None:
    """Two settings that say something together."""
    values = getattr(settings, one), getattr(settings, other)
    if None not in values:
        return values
    if values != (None, None):
        there, missing = (one, other) if values[1] is None else (other, one)
        raise SettingError(
            f"{variable(there)}={getattr(settings, there)!r} says nothing without {variable(missing)};"
            f" that is: {Settings.model_fields[missing].description}"
        )
    return None
