"""What people read."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from joulebox.bench.connection import Answer
from joulebox.bench.progress import progress_line
from joulebox.bench.report import WIDTH, bar, joules, plot, report
from joulebox.bench.result import UNKNOWN, Energy, Result, energy, result
from joulebox.bench.run import Step
from joulebox.bench.tally import Tally
from joulebox.bench.target import Ledger
from joulebox.bench.words import milliseconds, scaled_joules


def tally(*latencies_ms: float) -> Tally:
    made = Tally(10.0, 12.0, deadline_s=0.01)
    for latency_ms in latencies_ms:
        made.record(Answer("200", 10.0, 10.0, 10.0 + latency_ms / 1e3, b"", b"", b""))
    return made


def measured(made: Tally, rate: float | None = None) -> Result:
    return result(
        made, 8, rate, 2.0, 4, deadline=True, energy=UNKNOWN, client_cpu=0.5, interrupted=False
    )  # fmt: skip


def shown(*results: Result) -> str:
    file = io.StringIO()
    Console(file=file, width=100).print(report(results), highlight=False)
    return file.getvalue()


def test_figures_are_per_second_of_the_window_and_per_item_of_the_batch() -> None:
    found = measured(tally(1, 2, 3, 20))
    assert found.requests_per_s == 2
    assert found.inferences_per_s == 8
    assert found.goodput_per_s == 1.5
    assert found.latency_ms["p50"] == pytest.approx(2, rel=0.01)
    assert found.latency_ms["max"] == pytest.approx(20)


def test_an_answer_after_the_window_counts_for_latency_but_not_for_throughput() -> None:
    found = measured(tally(1, 5000))
    assert found.requests == 2
    assert found.requests_per_s == 0.5


def test_without_answers_there_are_no_latencies() -> None:
    found = measured(tally())
    assert set(found.latency_ms.values()) == {None}
    assert found.refused == {"count": 0, "p50": None, "p99": None}
    assert "8 conn" in shown(found)


def test_energy_is_the_difference_of_the_ledger() -> None:
    before, after = Ledger(1.0, 100, ("measured",)), Ledger(3.0, 300, ("measured",))
    assert energy(before, after, tally()) == Energy(0.01, "measured", "ledger")


def test_energy_without_a_ledger_is_what_answers_state() -> None:
    made = tally()
    body = b'{"parameters": {"energy_joules": 0.5, "energy_source": "estimated"}}'
    for _ in range(2):
        made.record(Answer("200", 11.0, 11.0, 11.1, b"", b"", body))
    idle = Ledger(1.0, 100, ("measured",))
    assert energy(None, None, made) == Energy(0.5, "estimated", "answers")
    assert energy(idle, idle, made).by == "answers"


def test_unknown_energy_is_none_and_never_0() -> None:
    made = tally()
    made.record(Answer("200", 11.0, 11.0, 11.1, b"", b"", b'{"parameters": {"energy_source": "none"}}'))
    made.record(Answer("200", 11.0, 11.0, 11.1, b"", b"", b'{"parameters": [1]}'))
    unknown = energy(Ledger(0.0, 0, ()), Ledger(0.0, 0, ()), made)
    assert unknown == UNKNOWN
    assert joules(unknown) == "none"


def test_bars_grow_with_the_logarithm() -> None:
    axis, *lines = plot({"1 conn": {"p50": 1.0, "p90": 10.0, "p99": 100.0, "p99.9": None}})
    lengths = [line.plain.count("█") for line in lines if "█" in line.plain]
    assert lengths[1] - lengths[0] == pytest.approx(lengths[2] - lengths[1], abs=1)
    assert "|1" in axis.plain
    assert "|100" in axis.plain
    assert len(bar(1.0)) == WIDTH
    assert plot({"1 conn": {}}) == []


def test_equal_latencies_still_have_an_axis() -> None:
    assert "|1" in plot({"x": {"p50": 1.0}})[0].plain


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unsent": 7}, "7 requests were due and never sent, since all 8 connections were waiting"),
        ({"late": 3, "late_max_ms": 20.0}, "3 requests were sent late, by up to 20 ms"),
        ({"client_cpu": 0.97}, "may be its own limit"),
        ({"interrupted": True}, "stopped after 2.0 s"),
        ({"errors": {"503": 2}, "errors_said": {"503": "full"}, "refused": {"count": 2, "p99": 1.5}}, "1.5 ms at p99"),
        ({"errors": {"timeout": 1}, "errors_said": {"timeout": "no answer"}}, "1 × timeout: no answer"),
    ],
)
def test_what_has_to_be_known_is_said(change: dict[str, object], said: str) -> None:
    assert said in " ".join(shown(replace(measured(tally(1), rate=50.0), **change)).split())


def test_figures_in_words() -> None:
    assert [milliseconds(value) for value in (None, 0.1234, 12.34, 1234.5)] == ["", "0.123", "12.3", "1,234"]
    assert [scaled_joules(value) for value in (2.5, 0.0025, 2.5e-6, 2.5e-9)] == ["2.5 J", "2.5 mJ", "2.5 µJ", "2.5 nJ"]


def test_progress_in_a_line() -> None:
    made = tally(1, 2, 3)
    assert progress_line(Step(8), made, 9.5) == "8 conn: warming up, 0 requests"
    assert progress_line(Step(8, 50.0), made, 11.0).startswith("50/s: 3 requests, 3/s, p99 3 ms, 0 errors, 1 s left")
    assert "p99 -" in progress_line(Step(8), tally(), 11.0)
