"""What the ledgers book, as Prometheus has it; a value that is not known has no series, or is NaN where it had one."""

from __future__ import annotations

import math

from joulebox.energy import Booking, Device, Ledger, Rates
from joulebox.metrics import Metrics, observe_many


def export(metrics: Metrics, device: Device, ledger: Ledger, bookings: list[Booking], rates: Rates) -> None:
    """Adds one device's bookings to its counters, and says its power."""
    labels = device.name, device.source
    for booking in bookings:
        metrics.device_energy.labels(*labels).inc(booking.joules)
        if ledger.idle_watts is not None:
            metrics.device_idle.labels(*labels).inc(booking.idle_joules)
        metrics.device_unattributed.labels(*labels, booking.reason).inc(booking.unattributed_joules)
        _export_models(metrics, device, booking)
        _export_rates(metrics, device, booking, rates)
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


def _export_rates(metrics: Metrics, device: Device, booking: Booking, rates: Rates) -> None:
    """Grams and money, of what was used, by whoever has set them."""
    for (name, _), part in booking.models.items():
        joules = part.joules + part.idle_joules
        grams, cost = rates.grams(joules), rates.cost(joules)
        if grams is not None and (joules or part.items):
            metrics.inference_carbon.labels(name, device.name).inc(grams)
        if cost is not None and rates.price is not None and (joules or part.items):
            metrics.inference_cost.labels(name, device.name, rates.price.currency).inc(cost)
