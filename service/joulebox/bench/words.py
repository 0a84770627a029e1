"""How loads and figures are written."""

from __future__ import annotations

import math

UNITS = (("J", 1.0), ("mJ", 1e3), ("µJ", 1e6))


def load_name(connections: int, rate: float | None) -> str:
    return f"{rate:,g}/s" if rate is not None else f"{connections} conn"


def three_digits(value: float) -> str:
    """Without an exponent, however large or small."""
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    digits = f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"
    return digits.rstrip("0").rstrip(".")


def milliseconds(value: float | None) -> str:
    """Three digits; empty where there is none."""
    return "" if value is None else three_digits(value)


def scaled_joules(value: float) -> str:
    """Three digits, in the largest unit that leaves one before the point."""
    unit, factor = _unit(value)
    return f"{three_digits(value * factor)} {unit}"


def joules_and_half(value: float, ci95: tuple[float, float] | None) -> str:
    """With half the interval, in the same unit: `204.0 ± 3.1 µJ`."""
    if ci95 is None:
        return scaled_joules(value)
    unit, factor = _unit(value)
    return f"{plus_minus(value * factor, (ci95[1] - value) * factor)} {unit}"


def plus_minus(value: float, error: float) -> str:
    """Both to the second digit of the error."""
    decimals = min(6, max(0, 1 - math.floor(math.log10(error)))) if error > 0 else 3
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _unit(value: float) -> tuple[str, float]:
    return next(((unit, factor) for unit, factor in UNITS if value * factor >= 0.9995), ("nJ", 1e9))
