"""What `joulebox doctor` shows of carbon intensity, price and embodied carbon: the value with its source, or that it is off."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from joulebox.runtime.settings import variable


def carbon_table(carbon: dict[str, Any]) -> Table:
    """The rates, as `described` gives them."""
    table = Table("carbon and price", "value", "source")
    for name, (value, source) in (
        ("carbon intensity", _intensity(carbon["intensity"])),
        ("price", _price(carbon["price"])),
        ("embodied carbon", _embodied(carbon["embodied"])),
    ):
        table.add_row(name, value, Text(source))
    return table


def _intensity(said: dict[str, Any] | None) -> tuple[str, str]:
    if said is None:
        return _off("carbon_region", "or", "carbon_intensity")
    source = f"{said['region']} ({said['name']}), {said['year']}: {said['table']}" if said["table"] else said["source"]
    return f"{said['grams_per_kwh']:g} g CO2e/kWh", source


def _price(said: dict[str, Any] | None) -> tuple[str, str]:
    if said is None:
        return _off("price_kwh", "and", "currency")
    return f"{said['per_kwh']:g} {said['currency']}/kWh", said["source"]


def _embodied(said: dict[str, Any] | None) -> tuple[str, str]:
    if said is None:
        return _off("embodied_kg", "and", "lifetime_years")
    return f"{said['kilograms']:g} kg CO2e over {said['lifetime_years']:g} years", said["source"]


def _off(one: str, conjunction: str, other: str) -> tuple[str, str]:
    return "off", f"set {variable(one)} {conjunction} {variable(other)}"
