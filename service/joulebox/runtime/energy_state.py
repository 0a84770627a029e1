"""What `/energy` answers: the ledgers of all devices, as plain values; None where one is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from joulebox.energy import Device, Ledger, Rates, Sources
from joulebox.runtime.carbon_state import carbon_of


def state_of(books: Sequence[tuple[Device, Ledger]], sources: Sources | None, rates: Rates) -> dict[str, Any]:
    """Devices, models and readers that found nothing, as DESIGN.md has them; grams and money where their rates were set."""
    unavailable = [{"reader": found.reader, "reason": found.reason} for found in sources.unavailable] if sources else []
    return {
        "devices": [_device(device, ledger) for device, ledger in books],
        "models": [row for device, ledger in books for row in _models(device, ledger)],
        "unavailable": unavailable,
        "carbon": carbon_of(books, rates),
    }


def _device(device: Device, ledger: Ledger) -> dict[str, Any]:
    total = ledger.total_joules
    return {
        "device": device.name,
        "reader": device.reader,
        "source": device.source,
        "note": device.note,
        "tick_seconds": ledger.tick_s or None,
        "joules_total": total,
        "idle_joules": ledger.idle_joules if ledger.idle_watts is not None else None,
        "unattributed_joules": ledger.unattributed_joules,
        "unattributed": dict(ledger.unattributed),
        "unattributed_share": ledger.unattributed_joules / total if total > 0 else None,
        "idle_watts": ledger.idle_watts,
        "idle_source": ledger.idle_source,
        "watts": ledger.watts,
        "nonlinear": ledger.nonlinear,
        "settled": ledger.settled,
        "gaps": ledger.gaps,
        "unknown_seconds": ledger.unknown_s,
    }


def _models(device: Device, ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "version": version,
            "device": device.name,
            "source": device.source,
            "inferences": account.items,
            "dynamic_joules": account.joules,
            "idle_joules": account.idle_joules if ledger.idle_watts is not None else None,
            "joules_per_inference": account.joules_per_item,
            "ci95": ledger.ci95((name, version)),
            "watts": account.watts,
        }
        for (name, version), account in ledger.accounts.items()
    ]
