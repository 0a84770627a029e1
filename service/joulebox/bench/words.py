"""How loads and figures are written."""

from __future__ import annotations


def load_name(connections: int, rate: float | None) -> str:
    return f"{rate:,g}/s" if rate is not None else f"{connections} conn"


def milliseconds(value: float | None) -> str:
    """Three digits; empty where there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def scaled_joules(value: float) -> str:
    """In the largest unit that leaves a digit before the point."""
    for unit, factor in (("J", 1.0), ("mJ", 1e3), ("µJ", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} nJ"
