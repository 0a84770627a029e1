"""What was measured of versions that are long unloaded is left out, so that what is scraped does not grow with each swap.

The library cannot remove a series from the files that worker processes share, so it is done when they are collected. All
that is needed stands in the series themselves: whichever worker is scraped, and however young it is, it shows the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

UNLOADED_MAX = 8  # versions of which the series are kept once no worker has them any more: the last ones
STATE, SINCE = "joulebox_model_state", "joulebox_model_state_timestamp_seconds"

Version = tuple[str | None, str | None]
"""The labels `model` and `version`."""


class Recent(Collector):
    """Another collector's series, without those of versions that were unloaded a while ago."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Metric]:
        families: list[Metric] = list(self._collector.collect())
        gone = _gone({family.name: family for family in families})
        for family in families:
            if gone:
                family.samples = [sample for sample in family.samples if _version(sample.labels) not in gone]
            yield family


def _gone(families: dict[str, Metric]) -> set[Version]:
    if STATE not in families or SINCE not in families:
        return set()
    states = [sample for sample in families[STATE].samples if sample.value and sample.labels["state"] != "unloaded"]
    loaded = {_version(sample.labels) for sample in states}
    since = {_version(sample.labels): sample.value for sample in families[SINCE].samples}
    unloaded = sorted(since.keys() - loaded, key=since.__getitem__)
    return set(unloaded[:-UNLOADED_MAX])


def _version(labels: dict[str, str]) -> Version:
    return labels.get("model"), labels.get("version")
