"""A buffered histogram is the library's own, only cheaper to tell."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from joulebox.metrics import Buffered, observe_many
from joulebox.metrics.buffered import FLUSH_AT

BUCKETS = (0.1, 0.2, 1.0, 10.0)
VALUES = st.lists(st.sampled_from([*BUCKETS, 0.0]) | st.floats(-5, 50) | st.just(math.inf), max_size=40)


def histogram() -> tuple[Histogram, CollectorRegistry]:
    registry = CollectorRegistry()
    return Histogram("seconds", "Of a test", ["model"], registry=registry, buckets=BUCKETS), registry


def samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(VALUES, st.sets(st.integers(0, 40)))
@example([math.nan, 1.0], set())
def test_it_counts_as_if_each_value_were_observed_alone(values: list[float], flushes: set[int]) -> None:
    (one, expected), (other, found) = histogram(), histogram()
    buffered, plain = Buffered(other.labels("a")), one.labels("a")
    flushed: list[tuple[int, float]] = []
    for index, value in enumerate(values):
        plain.observe(value)
        buffered.observe(value)
        if index in flushes:
            flushed.append(buffered.flush())
    flushed.append(buffered.flush())
    assert samples(found) == pytest.approx(samples(expected), nan_ok=True)
    assert sum(count for count, _ in flushed) == len(values)
    assert sum(total for _, total in flushed) == pytest.approx(sum(values), nan_ok=True)
    assert buffered.flush() == (0, 0.0)


@given(st.floats(0, 20), st.integers(1, 50))
def test_one_value_many_times_counts_as_many(value: float, count: int) -> None:
    (one, expected), (other, found) = histogram(), histogram()
    for _ in range(count):
        one.labels("a").observe(value)
    observe_many(other.labels("a"), value, count)
    assert samples(found) == pytest.approx(samples(expected))


def test_what_is_kept_between_two_flushes_is_bounded_and_still_told() -> None:
    metric, registry = histogram()
    buffered = Buffered(metric.labels("a"))
    for _ in range(FLUSH_AT + 10):
        buffered.observe(0.5)
    assert len(buffered._values) == 10
    assert buffered.flush() == (FLUSH_AT + 10, (FLUSH_AT + 10) / 2)
    assert samples(registry)["seconds_count", ""] == FLUSH_AT + 10


WORKER = """
import random, sys
from prometheus_client import CollectorRegistry, Histogram
from joulebox.metrics import Buffered, identify
identify(int(sys.argv[1]))
metric = Histogram("seconds", "Of a test", ["model"], registry=CollectorRegistry(), buckets=(0.1, 0.2, 1.0, 10.0))
tell = Buffered(metric.labels("a")) if sys.argv[2] == "buffered" else metric.labels("a")
for _ in range(500):
    tell.observe(random.Random(7).random())
if sys.argv[2] == "buffered":
    tell.flush()
"""
COLLECT = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_worker_processes_add_up_alike(tmp_path: Path) -> None:
    found: list[str] = []
    for how in ("buffered", "plain"):
        folder = tmp_path / how
        folder.mkdir()
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(n), how], env=environment) for n in (1, 2)]
        assert [worker.wait(30) for worker in workers] == [0, 0]
        collected = subprocess.run([sys.executable, "-c", COLLECT], env=environment, check=True, stdout=subprocess.PIPE)
        found.append("\n".join(line for line in collected.stdout.decode().splitlines() if "_sum" not in line))
    assert found[0] == found[1]
    assert 'seconds_count{model="a"} 1000.0' in found[0]
    assert generate_latest(CollectorRegistry()) == b""
