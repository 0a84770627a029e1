"""`joulebox bench` as a user meets it, with real servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from joulebox.package import Package
from servers import JOULEBOX

RESULT = {
    "loop", "connections", "rate", "seconds", "requests", "warmup_requests", "requests_per_s", "inferences_per_s", "latency_ms",
    "errors", "errors_said", "refused", "goodput_per_s", "late", "late_max_ms", "unsent", "server_ms", "energy", "client_cpu",
    "interrupted",
}  # fmt: skip
QUICK = ("--seconds", 0.5, "--warmup", 0.1)


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*JOULEBOX, "bench", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=False, env={**os.environ, "COLUMNS": "100"}
    )


def figures(*arguments: object) -> dict[str, Any]:
    done = bench(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def requests_counted(server: str) -> float:
    """Requests for inference that the server's own metrics have counted."""
    text = httpx.get(f"{server}/metrics").text
    found = re.findall(r"^joulebox_request_duration_seconds_count\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def test_a_closed_loop_counts_what_the_servers_metrics_count(server: str) -> None:
    before = requests_counted(server)
    found = figures(server, "--model", "tiny", *QUICK, "--connections", 1, "--connections", 4)
    assert [each["connections"] for each in found["results"]] == [1, 4]
    sent = sum(each["requests"] + each["warmup_requests"] for each in found["results"])
    assert requests_counted(server) - before == sent + 1, "and the one that looks whether it works"


def test_json_output_has_all_figures(server: str) -> None:
    found = figures(
        server, "--model", "tiny", *QUICK, "--connections", 2, "--batch", 3, "--deadline", 1000, "--seed", 7
    )
    (result,) = found.pop("results")
    version = found.pop("version")
    assert re.fullmatch("[0-9a-f]{16}", version)
    assert found == {
        "schema": 1,
        "joulebox": "0.1.0",
        "model": "tiny",
        "served_by": "cpu-fp32, onnxruntime",
        "protocol": "binary",
        "timeout_s": 10.0,
        "seed": 7,
        "batch": 3,
        "arrivals": "poisson",
        "deadline_ms": 1000.0,
    }
    assert result.keys() == RESULT
    assert result["loop"] == "closed"
    assert result["rate"] is None
    assert result["errors"] == {}
    assert result["inferences_per_s"] == 3 * result["requests_per_s"] > 0
    latency = result["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]
    assert result["goodput_per_s"] == pytest.approx(result["requests_per_s"], rel=0.2)


def test_joules_come_from_the_servers_ledger_with_their_source(server: str) -> None:
    (result,) = figures(server, "--model", "tiny", *QUICK, "--connections", 1)["results"]
    assert result["energy"]["source"] == "estimated"
    assert result["energy"]["by"] == "ledger"
    assert 1e-6 < result["energy"]["joules_per_inference"] < 0.1


@pytest.mark.parametrize("protocol", ["json", "binary"])
def test_an_open_loop_at_a_low_rate_achieves_it(server: str, protocol: str) -> None:
    arguments = ("--rate", 100, "--arrivals", "uniform", "--protocol", protocol)
    (result,) = figures(server, *QUICK, *arguments)["results"]  # the server has no other model
    assert result["loop"] == "open"
    assert result["rate"] == 100
    assert result["requests_per_s"] == pytest.approx(100, rel=0.2)
    assert result["unsent"] == 0


def test_a_package_is_served_meanwhile_and_nothing_is_left(package: Package) -> None:
    done = bench(package.folder, *QUICK, "--connections", 1)
    assert done.returncode == 0, done.stderr
    assert f"tiny {package.manifest.version} (cpu-fp32, onnxruntime), binary" in done.stdout
    assert "1 conn" in done.stdout
    assert "p99.9" in done.stdout
    assert "estimated by ledger" in done.stdout
    assert not [child for child in psutil.process_iter(["cmdline"]) if _serves(child, package)]


def test_over_grpc_to_a_package(package: Package) -> None:
    (result,) = figures(package.folder, *QUICK, "--connections", 2, "--protocol", "grpc")["results"]
    assert result["errors"] == {}
    assert result["requests"] > 0
    assert result["energy"]["by"] == "ledger"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_prints_what_there_is_and_leaves_nothing(package: Package, number: signal.Signals) -> None:
    command = [*JOULEBOX, "bench", str(package.folder), "--seconds", "60", "--warmup", "0.1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for_load(process, package)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    (result,) = json.loads(output)["results"]
    assert result["interrupted"]
    assert result["requests"] > 0
    assert result["seconds"] < 30
    assert not [child for child in psutil.process_iter(["cmdline"]) if _serves(child, package)]


ANSWERED = 4000  # more than in the warm-up of a tenth of a second


def _wait_for_load(process: subprocess.Popen[str], package: Package) -> None:
    """Until the server has answered for a while."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            if _serves(child, package):
                address = f"http://127.0.0.1:{child.cmdline()[-1]}"
                try:
                    if requests_counted(address) > ANSWERED:
                        return
                except httpx.TransportError:
                    pass  # it does not listen yet
        time.sleep(0.1)
    pytest.fail(f"no load within 30 s (status {process.poll()})")


def _serves(process: psutil.Process, package: Package) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "serve" in command and str(package.folder) in command


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["http://127.0.0.1:9"], 1, "http://127.0.0.1:9 gives no answer: Connection refused"),
        (["ftp://127.0.0.1"], 2, "expected http://HOST:PORT"),
        (["SERVER", "--model", "none"], 2, "unknown model"),
        (["SERVER", "--model", "tiny", "--shape", "image:1,1,4,5"], 2, "--shape image:1,1,4,5: expected -1,1,4,4"),
        (["SERVER", "--model", "tiny", "--shape", "image"], 2, "expected NAME:SIZE"),
        (["SERVER", "--model", "tiny", "--data", "nothing.npz"], 2, "No such file"),
        (["SERVER", "--model", "tiny", "--header", "x"], 2, "expected NAME:VALUE"),
        (["SERVER", "--model", "tiny", "--protocol", "grpc"], 2, "--grpc-port"),
        (["SERVER", "--model", "tiny", "--batch", "400000"], 2, "does not answer (413)"),
        (["/nothing"], 2, "is no model package"),
    ],
)
def test_what_cannot_be_measured_is_one_line(server: str, arguments: list[str], status: int, said: str) -> None:
    done = bench(*(server if argument == "SERVER" else argument for argument in arguments))
    assert done.returncode == status
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not done.stdout


def test_a_file_of_samples_is_what_is_sent(server: str, tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, image=np.zeros((3, 1, 4, 4), np.float32))
    (result,) = figures(server, "--model", "tiny", *QUICK, "--connections", 1, "--data", file)["results"]
    assert result["errors"] == {}


METADATA = b'{"name": "m", "platform": "x", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "extra": 1}]}'


def test_a_server_that_breaks_down_after_the_first_request_is_a_failure(stub: Any) -> None:
    """A server of another make too: it has no version, no ledger and no Server-Timing."""

    def answer(number: int) -> bytes | None:
        body = METADATA if number == 1 else b"{}"
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) if number <= 3 else None

    async def run() -> tuple[int | None, bytes, bytes]:
        async with stub(answer).running() as address:
            command = [*JOULEBOX, "bench", f"http://127.0.0.1:{address.port}", "--model", "m", "--seconds", "0.3"]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
            output, errors = await process.communicate()
            return process.returncode, output, errors

    status, output, errors = asyncio.run(run())
    assert status == 1
    assert "× connection: the server closed the connection" in output.decode()
    assert errors.decode() == "error: no request was answered in time, so there are no figures\n"
