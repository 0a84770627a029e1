"""The JSON of grams and money, which are in the ledger's where their rates were set, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Amount = Annotated[float, Field(ge=0)]


class CarbonIntensity(BaseModel):
    grams_per_kwh: Amount
    source: Literal["configured", "table"]
    region: str | None
    """By ISO 3166; null, as are `name`, `year` and `table`, where the intensity is configured."""
    name: str | None
    year: int | None
    table: str | None
    """Whose figure it is, under which licence, and of what."""


class ElectricityPrice(BaseModel):
    per_kwh: Amount
    currency: str
    source: Literal["configured"]


class EmbodiedCarbon(BaseModel):
    """Of the whole host."""

    kilograms: Amount
    lifetime_years: Amount
    grams_per_second: Amount
    source: Literal["configured"]


class ModelCarbon(BaseModel):
    """Of one inference, over all devices, by the terms of ISO/IEC 21031; null where a value is not known."""

    model: str
    version: str
    source: Literal["measured", "integrated", "estimated"]
    """The weakest of the devices' energy sources."""
    energy_kwh: Amount | None
    """E."""
    idle_included: Literal["all", "some", "none"] | None
    """Of how many devices the model's part of the idle energy is in E; it is left out where it is not known."""
    grams_per_kwh: Amount | None
    """I."""
    operational_grams: Amount | None
    """E x I."""
    embodied_grams: Amount | None
    """M."""
    functional_unit: Literal["inference"]
    """R."""
    sci_grams: Amount | None
    """E x I + M; null where one of them is."""
    cost: Amount | None
    """Of E, in the price's currency."""


class CarbonLedger(BaseModel):
    intensity: CarbonIntensity | None
    price: ElectricityPrice | None
    embodied: EmbodiedCarbon | None
    models: list[ModelCarbon]
