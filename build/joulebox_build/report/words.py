"""How the report writes figures; what is not known says so, and is never 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulebox.bench.words import joules_and_half, scaled_joules, three_digits
from joulebox_build.packing.offer import Offer

UNKNOWN = "unknown"
UNMEASURED = "not measured"
KILO = 1000
NEXT = 999.5  # which in three digits is a thousand: said in the next unit


def percent(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}\u00a0%"


def points(value: float) -> str:
    """A difference of two fractions."""
    return f"{100 * value:+.2f} points".replace("-", "−")


def count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes in a good unit, three digits."""
    if value is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB"):
        if value < NEXT:
            return f"{amount(value)} {unit}"
        value /= KILO
    return f"{amount(value)} GB"


def time(value: float | None) -> str:
    """Seconds in a good unit, three digits."""
    if value is None:
        return UNKNOWN
    if value < NEXT * 1e-6:
        return f"{amount(1e6 * value)} µs"
    if value < NEXT * 1e-3:
        return f"{amount(1e3 * value)} ms"
    return f"{amount(value)} s" if value < 60 else f"{amount(value / 60)} min"


def joules(value: float | None) -> str:
    return UNKNOWN if value is None else scaled_joules(value)


def energy(cost: Mapping[str, Any]) -> str:
    """Of one inference above rest, with half its interval where it has one."""
    value, interval = cost["joules_per_inference"], cost["ci95"]
    return joules(value) if value is None or interval is None else joules_and_half(value, (interval[0], interval[1]))


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{amount(value)} ×"


def first_here(offer: Offer) -> str:
    """Which variant this host tries first, and why where that is not int8."""
    said = f"this host would serve {offer.first.name} first"
    int8 = next(each for each in offer.variants if each.name == "cpu-int8")
    if int8.times_as_fast is None or not int8.slower:
        return said
    return f"{said}: cpu-int8 takes {ratio(1 / int8.times_as_fast)} the time of fp32 here, both in turns"


def beside(value: float, other: float) -> str:
    """How many times the other it is, or what part of it."""
    return f"1/{amount(other / value)} of" if value < other else f"{amount(value / other)} ×"


def amount(value: float | None) -> str:
    """Three digits of whatever unit stands beside it."""
    return UNKNOWN if value is None else three_digits(value)


def limit(value: float | None) -> str:
    """A figure of the gate."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= KILO else f"{value:.6g}"


FILTERS = {
    each.__name__: each for each in (percent, points, count, size, time, joules, energy, ratio, beside, amount, limit)
}
