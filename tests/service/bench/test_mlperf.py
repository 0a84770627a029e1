"""MLPerf's scenarios, with MLCommons' own LoadGen and a real server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import JOULEBOX, wait_until

pytest.importorskip("mlperf_loadgen")

VALUES = {"SingleStream": "latency", "MultiStream": "latency", "Server": "queries/s", "Offline": "samples/s"}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*JOULEBOX, "bench", "--warmup", "0.1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def trial(*arguments: object) -> dict[str, Any]:
    done = bench(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["mlperf"]


def counted(server: str) -> float:
    """Requests for inference that the server's metrics have counted."""
    text = httpx.get(f"{server}/metrics").text
    found = re.findall(r"^joulebox_request_duration_seconds_count\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("scenario", VALUES)
def test_loadgen_drives_each_scenario(server: str, scenario: str, tmp_path: Path) -> None:
    arguments = ("--seconds", 0.5, "--out", tmp_path / "logs")
    found = trial(server, "--model", "tiny", "--scenario", scenario, *arguments)
    assert VALUES[scenario] in found["metric"]
    assert found["value"] > 0
    assert found["queries"] >= 1
    assert found["samples"] >= found["queries"]
    assert found["failed"] == {}
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert found["energy"]["source"] == "estimated"
    assert found["loadgen_version"]
    summary = (tmp_path / "logs/mlperf_log_summary.txt").read_text()
    assert f"Scenario : {scenario}" in summary
    assert f"Result is : {'VALID' if found['valid'] else 'INVALID'}" in summary


def test_a_single_stream_of_enough_queries_is_valid_and_says_what_it_is_not(server: str) -> None:
    done = bench(server, "--model", "tiny", "--scenario", "SingleStream", "--seconds", 0.5, "--queries", 100)
    assert done.returncode == 0, done.stderr
    assert "p90 latency, ms" in done.stdout
    assert " yes " in done.stdout
    assert "no MLPerf result" in " ".join(done.stdout.split())


def test_a_server_scenario_asks_at_the_rate_and_judges_by_the_latency(server: str) -> None:
    arguments = ("--scenario", "Server", "--seconds", 0.5, "--target-qps", 100)
    found = trial(server, "--model", "tiny", *arguments)
    assert found["target_qps"] == 100
    assert found["value"] == pytest.approx(100, rel=0.4)
    strict = trial(server, "--model", "tiny", *arguments, "--target-latency-ms", 0.001)
    assert not strict["valid"]
    assert "longer than the target latency" in strict["reasons"][0]


def test_offline_samples_are_sent_in_batches(server: str) -> None:
    arguments = ("--scenario", "Offline", "--seconds", 0.5, "--batch", 8, "--target-qps", 2000)
    found = trial(server, "--model", "tiny", *arguments)
    assert found["batch"] == 8
    assert found["samples"] >= 1000


def test_an_interrupt_prints_what_there_is_although_loadgen_cannot_be_stopped(server: str, tmp_path: Path) -> None:
    command = [*JOULEBOX, "bench", server, "--model", "tiny"]
    command += ["--scenario", "SingleStream", "--seconds", "60", "--warmup", "0.1", "--json", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until((tmp_path / "mlperf_log_detail.txt").exists)
    before = counted(server)
    wait_until(lambda: counted(server) > before + 100)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    found = json.loads(output)["mlperf"]
    assert found["interrupted"]
    assert found["value"] is None
    assert found["samples"] > 0
