"""Every Prometheus metric of Joulebox, defined in this one place. Base units; every label set is bounded."""

from __future__ import annotations

import os
from bisect import bisect_left
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from joulebox.metrics.recent import Recent

SECONDS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
JOULES = (*(step * 10.0**exponent for exponent in range(-6, 2) for step in (1, 2, 5)), 100.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, labels: list[str], buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return Histogram(name, text, labels, registry=registry, buckets=buckets)

        def counter(name: str, text: str, labels: list[str]) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: list[str]) -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode="livesum")

        self._registry = registry
        self.request_duration = histogram(
            "joulebox_request_duration_seconds",
            "From a request's first byte to its answer's last",
            ["model", "version", "protocol", "code"],
        )
        self.queue_duration = histogram(
            "joulebox_queue_duration_seconds", "Time spent waiting for the engine", ["model"]
        )
        self.compute_duration = histogram(
            "joulebox_compute_duration_seconds", "Time spent in the engine", ["model", "engine"]
        )
        self.batch_size = histogram("joulebox_batch_size", "Items computed at once", ["model"], BATCHES)
        self.inferences = counter("joulebox_inferences_total", "Items inferred", ["model", "version", "engine"])
        self.rejected = counter("joulebox_requests_rejected_total", "Requests refused, by reason", ["model", "reason"])
        self.load_failures = counter(
            "joulebox_load_failures_total", "Loads that did not become ready", ["model", "reason"]
        )
        self.fallback = counter(
            "joulebox_engine_fallback_total",
            "Steps down the ladder of variants",
            ["model", "from_engine", "to_engine", "reason"],
        )
        self.queue_depth = gauge("joulebox_queue_depth", "Requests waiting for the engine", ["model"])
        self.inflight = gauge("joulebox_inflight_requests", "Requests being answered", ["model"])
        self.model_state = gauge(
            "joulebox_model_state", "1 for the state that a model is in", ["model", "version", "state"]
        )
        self.model_state_since = Gauge(
            "joulebox_model_state_timestamp_seconds",
            "When a model came into its state, in seconds since 1970",
            ["model", "version"],
            registry=registry,
            multiprocess_mode="max",
        )
        self.engine_info = gauge(
            "joulebox_engine_info",
            "1 for what serves a model",
            ["model", "version", "variant", "engine", "precision", "device"],
        )
        self.inference_energy = counter(
            "joulebox_inference_energy_joules_total",
            "Energy that inferences have used, as far as settled; part=idle is a view of the device's idle energy, by time loaded",
            ["model", "version", "device", "part", "source"],
        )
        self.energy_per_inference = histogram(
            "joulebox_energy_per_inference_joules",
            "Mean energy of the inferences of a settled interval, once per inference",
            ["model", "version", "device", "source"],
            JOULES,
        )
        self.inference_carbon = counter(
            "joulebox_inference_carbon_grams_total",
            "CO2e of the energy that inferences have used, dynamic and idle, at the carbon intensity that is set",
            ["model", "device"],
        )
        self.inference_cost = counter(
            "joulebox_inference_cost_total",
            "Cost of the energy that inferences have used, dynamic and idle, at the price that is set",
            ["model", "device", "currency"],
        )
        self.device_energy = counter("joulebox_device_energy_joules_total", "Energy used", ["device", "source"])
        self.device_idle = counter(
            "joulebox_device_idle_energy_joules_total", "Energy used by being on", ["device", "source"]
        )
        self.device_unattributed = counter(
            "joulebox_device_unattributed_energy_joules_total",
            "Energy that is nobody's: nothing ran, or it cannot be split",
            ["device", "source", "reason"],
        )
        self.device_power = gauge(
            "joulebox_device_power_watts", "Mean power over the last interval", ["device", "source"]
        )
        self.energy_source = gauge(
            "joulebox_energy_source_info",
            "1 for where a device's joules come from, and how often its counter changes, as measured",
            ["device", "source", "reader", "tick_seconds"],
        )
        self.budget_exceeded = counter(
            "joulebox_energy_budget_exceeded_total", "Windows in which a model was over its energy budget", ["model"]
        )

    def render(self) -> bytes:
        """The text format; of all worker processes together where `PROMETHEUS_MULTIPROC_DIR` is set."""
        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return generate_latest(Recent(self._registry))
        files: Any = MultiProcessCollector(None)  # pyright: ignore[reportUnknownMemberType]  # untyped in the library
        return generate_latest(Recent(files))


def observe_many(histogram: Any, value: float, count: int) -> None:
    """What `count` calls of `observe(value)` do, at the cost of one; the library has no such call.

    Args:
        histogram: a histogram with its labels set.
    """
    histogram._sum.inc(value * count)  # noqa: SLF001
    histogram._buckets[bisect_left(histogram._upper_bounds, value)].inc(count)  # noqa: SLF001
