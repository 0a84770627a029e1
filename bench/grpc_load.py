"""gRPC: a closed loop of N calls at once by one `grpc.aio` client, the same bytes whatever the server.

Run as `python -m bench.grpc_load PORT REQUEST_FILE CALLS SECONDS`; it prints requests, seconds, errors, p50 and p99 in
milliseconds as JSON. A process of its own, so that it shares no event loop and no interpreter lock with anything.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np

from bench import load
from bench.models import Model
from bench.process import Process

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def request_bytes(model: Model) -> bytes:
    """A ModelInferRequest with raw contents, serialized once: the client's cost is the same for every server."""
    from tritonclient.grpc import service_pb2  # noqa: PLC0415  # loads slowly, and only this load needs it

    message = service_pb2.ModelInferRequest(model_name=model.name, raw_input_contents=[model.sample.tobytes()])
    message.inputs.add(name=model.input, datatype="FP32", shape=model.sample.shape)
    return message.SerializeToString()


def measure(process: Process, port: int, request: Path, calls: int, seconds: int) -> load.Load:
    """The client's figures, with the CPU time of the server."""
    command = [sys.executable, "-m", "bench.grpc_load", str(port), str(request), str(calls), str(seconds)]
    before_s = process.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    cpu_s = process.cpu_seconds() - before_s
    return load.of({**json.loads(done.stdout), "cpu_s": cpu_s})


async def ask(port: int, request: bytes, timeout_s: float = 5.0) -> bytes:
    """One call. Raises grpc.RpcError."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await channel.unary_unary(METHOD)(request, timeout=timeout_s)


async def _calls(call: grpc.aio.UnaryUnaryMultiCallable, request: bytes, until_s: float, took_s: list[float]) -> int:
    errors = 0
    while (start_s := time.perf_counter()) < until_s:
        try:
            await call(request, timeout=30)
        except grpc.RpcError:
            errors += 1
        else:
            took_s.append(time.perf_counter() - start_s)
    return errors


async def main(port: int, request: bytes, calls: int, seconds: float) -> None:
    took_s: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        await call(request, timeout=30)
        start_s = time.perf_counter()
        errors = await asyncio.gather(*(_calls(call, request, start_s + seconds, took_s) for _ in range(calls)))
        elapsed_s = time.perf_counter() - start_s
    p50, p99 = np.percentile(took_s, [50, 99]) if took_s else (float("nan"), float("nan"))
    figures = {
        "requests": len(took_s),
        "seconds": elapsed_s,
        "errors": sum(errors),
        "p50_ms": 1e3 * p50,
        "p99_ms": 1e3 * p99,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), int(sys.argv[3]), float(sys.argv[4])))
