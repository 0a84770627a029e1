"""What a load generator saw, and what the server's processes used meanwhile."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bench.servers import Running

UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """`errors` are answers other than 2xx and connections that broke; the rate counts good answers only."""

    requests: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    errors: float


def median(loads: Sequence[Load]) -> Load:
    """Of each figure by itself, over rounds."""
    return Load(*(statistics.median(getattr(load, field.name) for load in loads) for field in fields(Load)))


def of(figures: Mapping[str, float]) -> Load:
    """Of a load generator of ours: what it printed, with the CPU seconds that the server used."""
    good = figures["requests"]
    return Load(
        good,
        good / figures["seconds"],
        figures["p50_ms"],
        figures["p99_ms"],
        1e6 * figures["cpu_s"] / max(good, 1),
        figures["errors"],
    )


def wrk(running: Running, connections: int, seconds: int, folder: Path) -> Load:
    """A closed loop over that many connections, by one thread."""
    command = wrk_command(running, connections, seconds, folder)
    before_s = running.process.cpu_seconds()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return read_wrk(output, running.process.cpu_seconds() - before_s)


def wrk_command(running: Running, connections: int, seconds: int, folder: Path) -> list[str]:
    """The load generator's command; what it needs is written into `folder`."""
    script, body = folder / "request.lua", folder / "body"
    body.write_bytes(running.request.body)
    headers = [f"wrk.headers['{name}'] = '{value}'" for name, value in running.request.headers.items()]
    read = f"local file = io.open([[{body}]], 'rb')\nwrk.body = file:read('*a')\nfile:close()"
    script.write_text("\n".join(["wrk.method = 'POST'", *headers, read, ""]))
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script)]
    return ["wrk", *options, running.url]


def read_wrk(output: str, cpu_s: float) -> Load:
    total, elapsed = re.search(r"(\d+) requests in\s+([\d.]+\w+)", output).groups()
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    percentiles = dict(re.findall(r"^\s+(50|99)%\s+(\S+) *$", output, re.MULTILINE))
    bad = int(refused[1]) if refused else 0
    good = int(total) - bad
    errors = bad + (sum(map(int, broken.groups())) if broken else 0)
    return of(
        {
            "requests": good,
            "seconds": _milliseconds(elapsed) / 1e3,
            "p50_ms": _milliseconds(percentiles["50"]),
            "p99_ms": _milliseconds(percentiles["99"]),
            "cpu_s": cpu_s,
            "errors": errors,
        }
    )


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS_MS[unit]
