"""What the ledgers book, as Prometheus has it; a value that is not known has no series, or is NaN where it had one."""

from __future__ import annotations

import math

from joulebox.energy import Booking, Device, Ledger
from joulebox.metrics import Metrics, observe_many


def export(metrics: Metrics, device: Device, ledger: Ledger, bookings: list[Booking]) -> None:
    """Adds one device's bookings to its counters, and says its power."""
    labels = device.name, device.source
    for booking in bookings:
        metrics.device_energy.labels(*labels).inc(booking.joules)
        if ledger.idle_watts is not None:
            metrics.device_idle.labels(*labels).inc(booking.idle_joules)
        metrics.device_unattributed.labels(*labels, booking.reason).inc(booking.unattributed_joules)
        _export_models(metrics, device, booking)
    if bookings or ledger.watts is None:
        metrics.device_power.labels(*labels).set(math.nan if ledger.watts is None else ledger.watts)


def _export_models(metrics: Metrics, device: Device, booking: Booking) -> None:
    for (name, version), part in booking.models.items():
        if part.joules or part.items:
            metrics.inference_energy.labels(name, version, device.name, "dynamic", device.source).inc(part.joules)
        if part.idle_joules:
            metrics.inference_energy.labels(name, version, device.name, "idle", device.source).inc(part.idle_joules)
        if part.items:
            child = metrics.energy_per_inference.labels(name, version, device.name, device.source)
            observe_many(child, part.joules / part.items, part.items)
