"""What is scraped does not grow with each version that was ever served."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.parser import text_string_to_metric_families

from joulebox.metrics import Metrics
from joulebox.metrics.recent import UNLOADED_MAX

STATES = ("ready", "unloaded")


def enter(metrics: Metrics, version: str, state: str, at_s: float) -> None:
    for each in STATES:
        metrics.model_state.labels("tiny", version, each).set(each == state)
    metrics.model_state_since.labels("tiny", version).set(at_s)
    metrics.inferences.labels("tiny", version, "onnxruntime").inc()
    metrics.request_duration.labels("tiny", version, "oip", "200").observe(0.1)


def versions(metrics: Metrics) -> dict[str, set[str]]:
    """By the name of a metric, the versions that are shown of it."""
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if "version" in sample.labels:
                shown.setdefault(family.name, set()).add(sample.labels["version"])
    return shown


def swap(metrics: Metrics, count: int) -> None:
    for number in range(count):
        enter(metrics, f"v{number}", "ready", number)
        enter(metrics, f"v{number}", "unloaded", number + 0.5)


def test_the_last_versions_that_were_unloaded_are_kept_beside_all_that_are_served() -> None:
    metrics = Metrics(CollectorRegistry())
    enter(metrics, "old and served", "ready", -1)
    metrics.queue_depth.labels("tiny").set(1)
    swap(metrics, 30)
    expected = {"old and served", *(f"v{number}" for number in range(30 - UNLOADED_MAX, 30))}
    shown = versions(metrics)
    assert set(shown) >= {"joulebox_inferences", "joulebox_request_duration_seconds", "joulebox_model_state"}
    assert all(found == expected for found in shown.values())
    assert b'joulebox_queue_depth{model="tiny"} 1.0' in metrics.render()


def test_a_version_that_is_loaded_again_has_its_series_back() -> None:
    metrics = Metrics(CollectorRegistry())
    swap(metrics, 30)
    assert "v0" not in versions(metrics)["joulebox_inferences"]
    enter(metrics, "v0", "ready", 100)
    assert "v0" in versions(metrics)["joulebox_inferences"]
    assert b'joulebox_inferences_total{engine="onnxruntime",model="tiny",version="v0"} 3.0' in metrics.render()


def test_workers_agree_by_the_files_they_share_on_what_is_unloaded_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    for worker, metrics, state in ((1, first, "ready"), (2, second, "unloaded")):
        monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(lambda number=worker: number))
        enter(metrics, "still drains there", state, -1)
        swap(metrics, 30)
    expected = {"still drains there", *(f"v{number}" for number in range(30 - UNLOADED_MAX, 30))}
    assert versions(first)["joulebox_inferences"] == versions(second)["joulebox_inferences"] == expected
    assert b'joulebox_inferences_total{engine="onnxruntime",model="tiny",version="v29"} 4.0' in first.render()
