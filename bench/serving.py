"""Joulebox beside the limit for a Python ASGI server, in one run: the same ONNX file, the same JSON request, `wrk`.

The limit is raw uvicorn + ONNX Runtime: it parses the JSON, runs the session and answers, and neither validates nor
counts nor measures energy. What matters is the ratio. Run it with `make bench`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from joulebox.package import open_package

PACKAGE = Path(__file__).parents[1] / "models/fashion/package"
CONNECTIONS = (1, 8, 32)
ROUNDS = 3
SECONDS = 4

RAW = """
import sys
import numpy as np, onnxruntime as ort, orjson, uvicorn

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
HEADERS = [(b"content-type", b"application/json")]

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    tensor = orjson.loads(body)["inputs"][0]
    array = np.asarray(tensor["data"], np.float32).reshape(tensor["shape"])
    (logits,) = session.run(None, {tensor["name"]: array})
    answer = orjson.dumps({"outputs": [{"data": logits.ravel()}]}, option=orjson.OPT_SERIALIZE_NUMPY)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": answer})

uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error", lifespan="off")
"""


@dataclass(frozen=True)
class Load:
    """What `wrk` saw, and what the server's processes burnt."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_ready(url: str, body: bytes) -> None:
    for _ in range(300):
        try:
            if httpx.post(url, content=body).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} gives no answer")


def cpu_seconds(pid: int) -> float:
    """Of a process and its children, from /proc."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    ticks = 0
    for each in [str(pid), *children]:
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wrk(url: str, script: Path, connections: int, pid: int) -> Load:
    before = cpu_seconds(pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output:
        raise RuntimeError(f"the server refused requests:\n{output}")
    requests = int(re.search(r"(\d+) requests in", output)[1])
    latency = {percent: in_ms(text) for percent, text in re.findall(r"^\s+(50|99)%\s+(\S+)$", output, re.MULTILINE)}
    used = cpu_seconds(pid) - before
    return Load(requests / SECONDS, latency["50"], latency["99"], 1e6 * used / requests)


def in_ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def median(loads: list[Load]) -> Load:
    return Load(*(statistics.median(getattr(load, field) for load in loads) for field in Load.__dataclass_fields__))


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed; on Debian: apt-get install wrk")
    package = open_package(PACKAGE)
    variant = next(variant for variant in package.manifest.variants if variant.precision == "int8")
    shape = [1, *package.manifest.inputs[0].shape[1:]]
    data = np.zeros(shape, np.float32).ravel().tolist()
    body = json.dumps(
        {"inputs": [{"name": package.manifest.inputs[0].name, "shape": shape, "datatype": "FP32", "data": data}]}
    )
    with tempfile.TemporaryDirectory() as work:
        script, raw = Path(work, "post.lua"), Path(work, "raw.py")
        raw.write_text(RAW)
        script.write_text(
            f"wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = [[{body}]]\n"
        )
        servers = {
            "raw uvicorn + onnxruntime": lambda port: [
                sys.executable,
                str(raw),
                str(package.folder / variant.file),
                str(port),
            ],
            "joulebox": lambda port: [
                sys.executable,
                "-m",
                "joulebox.cli.main",
                "serve",
                str(PACKAGE),
                "--port",
                str(port),
            ],
        }
        loads: dict[tuple[str, int], list[Load]] = {}
        for number in range(ROUNDS):
            for name, command in servers.items():
                port = free_port()
                url = f"http://127.0.0.1:{port}/v2/models/{package.manifest.name}/infer"
                with running(command(port), port) as pid:
                    wait_ready(url, body.encode())
                    for connections in CONNECTIONS:
                        loads.setdefault((name, connections), []).append(wrk(url, script, connections, pid))
                print(f"round {number + 1} of {ROUNDS}: {name}", file=sys.stderr)
    table = Table("connections", "server", "requests/s", "ratio", "p50 ms", "p99 ms", "server CPU µs/request")
    for connections in CONNECTIONS:
        limit = median(loads["raw uvicorn + onnxruntime", connections])
        for name in servers:
            load = median(loads[name, connections])
            table.add_row(
                str(connections),
                name,
                f"{load.requests_per_s:,.0f}",
                f"{load.requests_per_s / limit.requests_per_s:.2f}",
                f"{load.p50_ms:.2f}",
                f"{load.p99_ms:.2f}",
                f"{load.cpu_us_per_request:.0f}",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
