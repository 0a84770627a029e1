"""The energy figure on an answer."""

from __future__ import annotations

from typing import Any

from joulebox.http.exchange import Header
from joulebox.runtime.sampler import Provisional


def energy_of(provisional: Provisional, *, shown: bool) -> dict[str, Any] | None:
    """For an answer: joules (null where unknown), their source, and that they are provisional; None where not shown."""
    return {"joules": provisional.joules, "source": provisional.source, "provisional": True} if shown else None


def energy_headers(provisional: Provisional, *, shown: bool) -> list[Header]:
    """The same as a header: `joules=0.0012;source=measured;provisional`, without joules where they are unknown."""
    if not shown:
        return []
    joules = b"" if provisional.joules is None else b"joules=%.4g;" % provisional.joules
    return [(b"joulebox-energy", b"%bsource=%b;provisional" % (joules, provisional.source.encode()))]


def energy_parameters(provisional: Provisional, *, shown: bool) -> dict[str, Any] | None:
    """The same as parameters of the Open Inference Protocol, which take no null."""
    if not shown:
        return None
    if provisional.joules is None:
        return {"energy_source": provisional.source, "energy_provisional": True}
    return {"energy_joules": provisional.joules, "energy_source": provisional.source, "energy_provisional": True}
