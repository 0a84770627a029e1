"""What Prometheus scrapes from a real server."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from servers import wait_until

ONE = {"inputs": [{"name": "image", "shape": [2, 1, 4, 4], "datatype": "FP32", "data": [1.0] * 32}]}


def scrape(server: str) -> dict[str, float]:
    """Sample name with its labels' values, sorted, to value."""
    families = text_string_to_metric_families(httpx.get(f"{server}/metrics").text)
    return {
        " ".join([sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))]): sample.value
        for family in families
        for sample in family.samples
    }


def total(samples: dict[str, float], start: str) -> float:
    return sum(value for name, value in samples.items() if name.startswith(start))


def test_inferences_latency_and_energy_are_counted(server: str) -> None:
    before = scrape(server)
    for _ in range(10):
        httpx.post(f"{server}/v2/models/tiny/infer", json=ONE).raise_for_status()
    counted = "joulebox_energy_per_inference_joules_count"
    wait_until(lambda: total(scrape(server), counted) == total(before, counted) + 20)  # it settles a few times a second
    after = scrape(server)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert total(grown, "joulebox_inferences_total") == 20
    assert total(grown, "joulebox_compute_duration_seconds_count") == 10
    assert total(grown, "joulebox_request_duration_seconds_count") == 10
    joules = total(grown, "joulebox_inference_energy_joules_total")
    assert joules > 0
    assert total(grown, "joulebox_energy_per_inference_joules_sum") <= joules * 1.001
    assert all("source=estimated" in name for name in after if "joules" in name)


def test_the_ledgers_agree_with_the_metrics_and_add_up(server: str) -> None:
    ledger = httpx.get(f"{server}/energy").json()
    (device,) = ledger["devices"]
    booked = device["unattributed_joules"] + sum(model["dynamic_joules"] for model in ledger["models"])
    assert abs(booked - device["joules_total"]) < 1e-9 * max(1.0, booked)
    assert device["idle_joules"] is None, "unknown, not 0"
    assert {missing["reader"] for missing in ledger["unavailable"]} >= {"nvml", "rapl", "jetson"}


def test_asking_for_many_paths_makes_no_series(server: str) -> None:
    before = set(scrape(server))
    for number in range(50):
        httpx.get(f"{server}/scan/{number}")
        httpx.get(f"{server}/v2/models/none-{number}")
        httpx.post(f"{server}/models/none-{number}/predict")
    new = set(scrape(server)) - before
    assert not {name for name in new if "energy" not in name}, "the ledger goes on meanwhile"
