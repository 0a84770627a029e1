"""A tiny package that needs neither torch nor onnx, for all tests of the device side."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from joulebox.package import Package, write_package

HERE = Path(__file__).parent
LABELS = ["red", "green", "blue"]
SAMPLES = 4


def golden(outputs: np.ndarray | None = None) -> bytes:
    images = np.random.default_rng(0).normal(size=(SAMPLES, 1, 4, 4)).astype(np.float32)
    weights = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **{
            "input.image": images,
            "output.logits": images.reshape(SAMPLES, 16) @ weights if outputs is None else outputs,
        },
    )
    return buffer.getvalue()


def variant(name: str, precision: str, file: str) -> dict[str, Any]:
    return {
        "name": name,
        "file": file,
        "engine": "onnxruntime",
        "provider": "CPUExecutionProvider",
        "engine_version_min": "1.17",
        "precision": precision,
        "golden_tolerance": 1e-3,
    }


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "tiny",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 4, 4]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
        "preprocess": {"kind": "image", "height": 4, "width": 4, "channels": 1, "mean": [0.5], "std": [0.25]},
        "postprocess": {"kind": "classify", "temperature": 1.0, "top": 2},
        "labels": LABELS,
        "variants": [variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx")],
        "golden": {"file": "golden.npz", "samples": SAMPLES},
        "gate": [],
        "lineage": {"inputs": "0" * 64, "made_of": {"by": "tests"}},
        **changes,
    }


def files() -> dict[str, bytes]:
    return {"variants/cpu-fp32.onnx": (HERE / "tiny.onnx").read_bytes(), "golden.npz": golden()}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return write_package(tmp_path / "tiny", fields(), files(), {"report.json": b"{}"})


@pytest.fixture
def tiny() -> Any:
    """This module: the tiny package's parts, for tests that change one."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server with the tiny package."""
    folder = tmp_path_factory.mktemp("served")
    write_package(folder / "tiny", fields(), files(), {"report.json": b"{}"})
    with serving(folder / "tiny") as address:
        yield address


@contextmanager
def serving(*packages: Path, environment: dict[str, str] | None = None) -> Iterator[str]:
    """`joulebox serve`, ready; stopped with SIGTERM, which has to end it with status 0."""
    port = free_port()
    command = [sys.executable, "-m", "joulebox.cli.main", "serve", *map(str, packages), "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: (
                httpx.get(f"{address}/livez").status_code == 200 and httpx.get(f"{address}/readyz").status_code == 200
            )
        )
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "nothing is left listening"


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if holds():
                return
        time.sleep(0.05)
    raise TimeoutError(f"not so within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
