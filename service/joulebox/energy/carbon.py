"""Grams of CO2 equivalent, and money, out of joules. Pure, and off until somebody has said where the electricity comes from.

The terms are those of the Software Carbon Intensity (ISO/IEC 21031:2024), SCI = (E x I + M) per R: energy in kilowatt-hours,
grams that a kilowatt-hour causes, grams that making the hardware caused, and R, which here is one inference.
"""

from __future__ import annotations

from dataclasses import dataclass

from joulebox.energy.regions import Region

JOULES_PER_KWH = 3.6e6
SECONDS_PER_YEAR = 365.25 * 86_400


@dataclass(frozen=True)
class Intensity:
    """What electricity causes."""

    grams_per_kwh: float
    region: Region | None = None
    """The line of the table that it was taken from; None where it was configured."""


@dataclass(frozen=True)
class Price:
    """What electricity costs."""

    per_kwh: float
    currency: str


@dataclass(frozen=True)
class Embodied:
    """What making the whole host caused, spread evenly over its life."""

    kilograms: float
    lifetime_years: float

    @property
    def grams_per_second(self) -> float:
        return self.kilograms * 1000 / (self.lifetime_years * SECONDS_PER_YEAR)


@dataclass(frozen=True)
class Rates:
    """What an operator has said of the electricity and of the host; None where nothing was said."""

    intensity: Intensity | None = None
    price: Price | None = None
    embodied: Embodied | None = None

    @property
    def off(self) -> bool:
        return self == OFF

    def grams(self, joules: float | None) -> float | None:
        """CO2e of that much energy; None where the energy or the intensity is unknown."""
        if joules is None or self.intensity is None:
            return None
        return joules / JOULES_PER_KWH * self.intensity.grams_per_kwh

    def cost(self, joules: float | None) -> float | None:
        """Its price in `price.currency`; None where the energy or the price is unknown."""
        if joules is None or self.price is None:
            return None
        return joules / JOULES_PER_KWH * self.price.per_kwh

    def embodied_grams(self, seconds: float) -> float | None:
        """The host's part for so long; None where it is unknown."""
        return None if self.embodied is None else self.embodied.grams_per_second * seconds


OFF = Rates()
