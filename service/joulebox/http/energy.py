"""Energy figures for clients: the one on an answer, and the ledger at `/energy`."""

from __future__ import annotations

from typing import Any

from joulebox.http.exchange import Request
from joulebox.runtime.sampler import Provisional, Sampler


def energy_of(provisional: Provisional, request: Request, *, expose: bool) -> dict[str, Any] | None:
    """For an answer: joules (null where unknown), their source, and that they are provisional.

    None for clients beyond loopback unless exposed: a joule tells something of the input.
    """
    if not (expose or request.local):
        return None
    return {"joules": provisional.joules, "source": provisional.source or "none", "provisional": True}


def ledger_state(sampler: Sampler) -> dict[str, Any]:
    """The ledgers of all devices; null where a value is not known."""
    devices: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for book in sampler.books:
        device, ledger = book.meter.device, book.ledger
        devices.append(
            {
                "device": device.name,
                "reader": device.reader,
                "source": device.source,
                "note": device.note,
                "joules_total": ledger.total_joules,
                "idle_joules": None,
                "unattributed_joules": ledger.unattributed_joules,
                "idle_watts": None,
                "watts": ledger.watts,
            }
        )
        for (name, version), account in ledger.accounts.items():
            models.append(
                {
                    "model": name,
                    "version": version,
                    "device": device.name,
                    "source": device.source,
                    "inferences": account.items,
                    "dynamic_joules": account.joules,
                    "idle_joules": None,
                    "joules_per_inference": account.joules_per_item,
                    "ci95": None,
                }
            )
    unavailable = [{"reader": found.reader, "reason": found.reason} for found in sampler.sources.unavailable]
    return {"devices": devices, "models": models, "unavailable": unavailable}
