"""What LoadGen's log says, without LoadGen; how it is driven is told with a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulebox.bench.errors import BenchError
from joulebox.bench.loadgen import percentiles_ms, read_log


def test_of_each_key_the_last_value_counts(tmp_path: Path) -> None:
    (tmp_path / "mlperf_log_detail.txt").write_text(
        'a warning\n:::MLLOG {"key": "a", "value": 1}\n:::MLLOG {"key": "b", "value": "x"}\n'
        ':::MLLOG {"key": "a", "value": 2}\n'
    )
    assert read_log(tmp_path) == {"a": 2, "b": "x"}


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"left no log in .*: No such file"):
        read_log(tmp_path)


def test_percentiles_are_of_queries_and_those_that_are_known() -> None:
    of_samples = {"result_50.00_percentile_latency_ns": 2_000_000, "result_99.90_percentile_latency_ns": 3_000_000}
    assert percentiles_ms(of_samples) == {"p50": 2.0, "p99.9": 3.0}
    of_queries = {"result_99.00_percentile_per_query_latency_ns": 8_000_000}
    assert percentiles_ms({**of_samples, **of_queries}) == {"p99": 8.0}
    assert percentiles_ms({}) == {}
