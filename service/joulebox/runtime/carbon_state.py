"""What `/energy` says of grams and money: the rates, and for each model the terms of the Software Carbon Intensity.

A figure is of the software, so that a model's devices are added up; one that is not known makes the sum unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from joulebox.energy import Account, Device, Key, Ledger, Rates, weakest
from joulebox.energy.carbon import JOULES_PER_KWH, Embodied, Intensity, Price
from joulebox.energy.regions import SOURCES

UNIT = "inference"
Books = Sequence[tuple[Device, Ledger]]


def carbon_of(books: Books, rates: Rates) -> dict[str, Any] | None:
    """The object `carbon`; None where no rate was set."""
    if rates.off:
        return None
    keys = dict.fromkeys(key for _, ledger in books for key in ledger.accounts)
    return {**described(rates), "models": [_model(key, books, rates) for key in keys]}


def described(rates: Rates) -> dict[str, Any]:
    """The rates and where they are from; None where one was not set."""
    return {
        "intensity": rates.intensity and _intensity(rates.intensity),
        "price": rates.price and _price(rates.price),
        "embodied": rates.embodied and _embodied(rates.embodied),
    }


def _intensity(intensity: Intensity) -> dict[str, Any]:
    region = intensity.region
    return {
        "grams_per_kwh": intensity.grams_per_kwh,
        "source": "table" if region else "configured",
        "region": region and region.code,
        "name": region and region.name,
        "year": region and region.year,
        "table": region and SOURCES[region.source],
    }


def _price(price: Price) -> dict[str, Any]:
    return {"per_kwh": price.per_kwh, "currency": price.currency, "source": "configured"}


def _embodied(embodied: Embodied) -> dict[str, Any]:
    return {
        "kilograms": embodied.kilograms,
        "lifetime_years": embodied.lifetime_years,
        "grams_per_second": embodied.grams_per_second,
        "source": "configured",
    }


def _model(key: Key, books: Books, rates: Rates) -> dict[str, Any]:
    accounts = [ledger.accounts.get(key) for _, ledger in books]
    idle = [ledger.idle_watts is not None for _, ledger in books]
    joules = _sum([_joules(account, with_idle) for account, with_idle in zip(accounts, idle, strict=True)])
    operational, embodied = rates.grams(joules), _embodied_grams(accounts, rates)
    return {
        "model": key[0],
        "version": key[1],
        "source": weakest(device.source for device, _ in books),
        "energy_kwh": None if joules is None else joules / JOULES_PER_KWH,
        "idle_included": None if joules is None else _extent(idle),
        "grams_per_kwh": rates.intensity and rates.intensity.grams_per_kwh,
        "operational_grams": operational,
        "embodied_grams": embodied,
        "functional_unit": UNIT,
        "sci_grams": _sum([operational, embodied]),
        "cost": rates.cost(joules),
    }


def _joules(account: Account | None, with_idle: bool) -> float | None:
    """Of one inference on one device."""
    if account is None or not account.items:
        return None
    return (account.joules + (account.idle_joules if with_idle else 0.0)) / account.items


def _embodied_grams(accounts: Sequence[Account | None], rates: Rates) -> float | None:
    """Of one inference: each device has counted the same time and inferences, less its gaps, so that they are pooled."""
    known = [account for account in accounts if account is not None]
    items = sum(account.items for account in known)
    grams = rates.embodied_grams(sum(account.loaded_s for account in known))
    return grams / items if grams is not None and items else None


def _extent(idle: Sequence[bool]) -> Literal["all", "some", "none"]:
    """Of how many devices the idle energy is in a figure."""
    return "all" if all(idle) else "some" if any(idle) else "none"


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
