"""The benchmark itself runs, measures what it says, and hides nothing; no figure of it is asserted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from bench import accounting, models, openloop, report, sections, servers, serving, targets
from bench.environments import UnavailableError
from bench.load import read_wrk
from bench.results import Accounting, Compared, Drift, Row
from bench.servers import JOULEBOX, RAW, SERVERS, Server
from bench.sidebyside import Plan
from bench.wire import as_http, raw

from joulebox.energy import rapl

ROOT = Path(__file__).parents[2]
PLAN = Plan(rounds=1, seconds=1, requests=1, say=lambda _text: None)
SECONDS = "1.50s "  # padded to the width of a unit with two letters
WRK_SAID = f"""Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%  171.00us
     75%    1.10ms
     90%    1.20ms
     99%    {SECONDS}
  1010 requests in 2.00s, 1.00MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 10
Requests/sec:   505.00
"""

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: `make bench` installs it")


def a_load(requests_per_s: float, p99_ms: float = 1.0):
    return replace(read_wrk(WRK_SAID, 0.5), requests_per_s=requests_per_s, p99_ms=p99_ms)


def side_by_side(**rates: float) -> Compared:
    names = {"raw": RAW, "own": JOULEBOX}
    rows = [Row(names.get(name, name), "raw bytes", 32, a_load(rate), [rate]) for name, rate in rates.items()]
    return Compared("a model", rows, [], {"litserve": "it ended: no such module"})


def test_only_good_answers_count() -> None:
    load = read_wrk(WRK_SAID, cpu_s=0.5)
    assert (load.requests, load.requests_per_s, load.errors) == (1000, 500.0, 14)
    assert (load.p50_ms, load.p99_ms, load.cpu_us_per_request) == (0.171, 1500.0, 500.0)


def test_targets_are_met_missed_or_not_measured() -> None:
    measured = side_by_side(raw=100.0, own=79.0, mlserver=20.0)
    (missed,) = targets.of_models("small", measured, (32,))
    assert (missed.measured, missed.met) == ("0.79", False)
    met, unknown = targets.of_peers(measured, ("mlserver", "litserve"), (32,))
    assert (met.met, unknown.met, unknown.measured) == (True, None, "not measured")


def test_memory_that_grows_is_not_flat() -> None:
    def verdicts(*resident_mb: float) -> list[bool | None]:
        drift = Drift(3.0, [0, 20_000, 100_000, 200_000], list(resident_mb))
        return [target.met for target in targets.of_memory(drift)]

    assert verdicts(100, 120, 120, 121) == [True, True, True]
    assert verdicts(100, 120, 130, 140) == [True, True, False]
    assert verdicts(290, 301, 301, 301) == [True, False, True]


def test_the_ratio_of_accounting_is_the_median_of_the_rounds_with_its_standard_error() -> None:
    on, off = ([a_load(rate) for rate in rates] for rates in ([99.0, 98.0, 50.0, 100.0], [100.0, 100.0, 50.0, 100.0]))
    seen = Accounting("a model", 1, 8, on, off)
    assert seen.ratio == 0.995
    assert 0.001 < seen.error < 0.02
    assert Accounting("a model", 1, 8, on[:1], off[:1]).error == inf
    table = report.accounting({(1, 8): seen, (2, 8): "it ended: no"})
    assert table.rows[0][:4] == ("1", "8", "98", "100")
    assert "2 workers, 8 connections: not run: it ended: no" in table.notes
    assert targets.of_accounting(1, 8, seen).met
    assert targets.of_accounting(2, 8, "it ended: no").met is None


def test_the_counter_that_moves_is_read_as_a_package() -> None:
    with accounting.moving_counter() as sysfs:
        (meter,) = rapl.probe(sysfs)
        before, until_s = meter.joules(), time.monotonic() + 10
        while meter.joules() == before:
            assert time.monotonic() < until_s
            time.sleep(0.01)
    assert (meter.device.name, meter.device.source) == ("cpu-package-0", "measured")


def test_a_server_that_did_not_run_is_in_the_page_with_the_reason() -> None:
    table = report.compared("Small model", side_by_side(raw=100.0, own=50.0), RAW)
    page = report.page([table], "make bench", "a machine", "how")
    assert "litserve: not run: it ended: no such module" in page
    assert "| 32 | joulebox | raw bytes | 50 | 50–50 | 0.50 | 1.00 |" in page


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = Server("broken", "none", lambda _model, _port: [sys.executable, "-c", "raise SystemExit('no')"], raw("/"))
    with (
        pytest.raises(UnavailableError, match="it ended: no"),
        servers.serving(broken, models.small(), tmp_path),
    ):
        pytest.fail("it never answered")


def test_a_server_with_another_answer_is_not_measured(tmp_path: Path) -> None:
    model = models.small()
    with (
        pytest.raises(UnavailableError, match="expected"),
        servers.serving(SERVERS[RAW], replace(model, answer=model.answer + 1), tmp_path),
    ):
        pytest.fail("its answer is not the model's")


def test_what_breaks_with_one_server_leaves_the_others_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_program(_model: object, _port: int) -> list[str]:
        return ["/no/such/program"]

    monkeypatch.setitem(SERVERS, "broken", Server("broken", "none", no_such_program, raw("/")))
    measured = sections.compare(PLAN, models.small(), ["broken", RAW], [])
    assert "/no/such/program" in measured.not_run["broken"]
    assert [start.server for start in measured.starts] == [RAW]


@needs_wrk
def test_a_closed_loop_and_an_open_one_against_a_real_server(tmp_path: Path) -> None:
    measured = sections.compare(PLAN, models.small(), [RAW], [2])
    assert not measured.not_run
    assert measured.rows[0].load.requests > 0
    assert measured.rows[0].load.cpu_us_per_request > 0
    assert measured.starts[0].resident_mb > 10
    with servers.serving(SERVERS[RAW], models.small(), tmp_path) as running:
        seen = openloop.overload(running.port, as_http(running.request, running.port), 50, 1, 0.5)
        wrong = as_http(replace(running.request, body=b"123"), running.port)
        refused = openloop.overload(running.port, wrong, 50, 1, 0.5)
    assert seen.sent_per_s == pytest.approx(50, abs=2)
    assert (seen.goodput_per_s, seen.broken, seen.unanswered) == (seen.sent_per_s, 0, 0)
    assert (refused.refused_per_s, refused.goodput_per_s) == (pytest.approx(50, abs=2), 0)


def test_unknown_parts_and_peers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serving.main(["--peers", "triton"])
    assert "'triton' is unknown; expected all, none or some of bentoml, mlserver" in capsys.readouterr().err


@pytest.mark.slow
@needs_wrk
def test_servers_with_and_without_accounting_answer_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "STARTS_MAX", 1)
    seen = accounting.accounting(replace(PLAN, rounds=2), models.small(), workers=2, connections=8)
    assert isinstance(seen, Accounting), seen
    assert all(load.requests and not load.errors for load in [*seen.on, *seen.off])
    assert len(seen.on) == len(seen.off) == 2


@pytest.mark.slow
@needs_wrk
def test_every_part_runs(tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    parts = ",".join(part for part in serving.PARTS if part != "accounting")
    options = ["--only", parts, "--peers", "none", "--rounds", "1", "--seconds", "1", "--requests", "1"]
    command = [sys.executable, "-m", "bench.serving", *options, "--json", str(figures), "--markdown", str(page)]
    subprocess.run(command, cwd=ROOT, check=True)
    seen = json.loads(figures.read_text("utf-8"))
    for part in ("small", "medium", "json", "grpc"):
        assert seen[part]["not_run"] == {}, part
        assert all(row["load"]["requests"] and not row["load"]["errors"] for row in seen[part]["rows"]), part
    assert all(isinstance(each, dict) for each in [*seen["overload"].values(), seen["memory"]])
    assert page.read_text("utf-8").count("\n## ") == 8
