"""A tiny package that needs neither torch nor onnx, for all tests of the device side."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox.package import Package, write_package
from servers import serving

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


def packed(
    out: Path, stem: str, given: dict[str, np.ndarray], expected: dict[str, np.ndarray], **changes: Any
) -> Package:
    """A package of `STEM.onnx` with these goldens; `changes` give the manifest's inputs and outputs, and what else differs."""
    buffer = io.BytesIO()
    named = {f"input.{name}": array for name, array in given.items()}
    np.savez(buffer, **named, **{f"output.{name}": array for name, array in expected.items()})
    file = f"variants/{stem}.onnx"
    content = {file: (HERE / f"{stem}.onnx").read_bytes(), "golden.npz": buffer.getvalue(), **changes.pop("files", {})}
    defaults: dict[str, Any] = {
        "name": stem,
        "preprocess": None,
        "postprocess": None,
        "labels": [],
        "variants": [variant("cpu", "fp32", file)],
        "golden": {"file": "golden.npz", "samples": len(next(iter(given.values())))},
    }
    return write_package(out, fields(**{**defaults, **changes}), content, {})


def spec(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


STATE: dict[str, Any] = {
    "batched": False,
    "inputs": [spec("input", "FP32", -1, -1), spec("state", "FP32", 2, -1, 4), spec("sr", "INT64")],
    "outputs": [spec("output", "FP32", -1, 1), spec("stateN", "FP32", 2, -1, 4)],
}
STRINGS: dict[str, Any] = {
    "inputs": [spec("text", "BYTES", -1), spec("suffix", "BYTES", -1)],
    "outputs": [spec("joined", "BYTES", -1), spec("id", "INT64", -1)],
}
EXTERNAL: dict[str, Any] = {
    "inputs": [spec("x", "FP32", -1, 16)],
    "outputs": [spec("y", "FP32", -1, 8)],
}


def state_package(out: Path, **changes: Any) -> Package:
    """`state.onnx`, which is not batched and has an input of rank 0, with two golden samples."""
    sounds = np.full((2, 1, 6), 0.5, np.float32)
    inputs = {"input": sounds, "state": np.zeros((2, 2, 1, 4), np.float32), "sr": np.array([16000, 8000])}
    logits = np.array([0.5, 0.25], np.float32).reshape(2, 1, 1)
    outputs = {"output": 1 / (1 + np.exp(-logits)), "stateN": np.full((2, 2, 1, 4), 0.5, np.float32)}
    return packed(out, "state", inputs, outputs, **{**STATE, **changes})


def strings_package(out: Path, **changes: Any) -> Package:
    """`strings.onnx`: BYTES in and out."""
    inputs = {"text": np.array(["red", "Jäger"]), "suffix": np.array(["", "–Σ"])}
    outputs = {"joined": np.array(["red", "Jäger–Σ"]), "id": np.array([0, -1])}
    return packed(out, "strings", inputs, outputs, **{**STRINGS, **changes})


def external_package(out: Path, **changes: Any) -> Package:
    """`external.onnx`, whose weights lie in a file of their own."""
    weights = np.fromfile(HERE / "external.data", np.float32).reshape(16, 8)
    x = np.eye(16, dtype=np.float32)[:3]
    data = "variants/external.data"
    variants = [{**variant("cpu", "fp32", "variants/external.onnx"), "external_data": [data]}]
    files = {data: (HERE / "external.data").read_bytes()}
    return packed(
        out, "external", {"x": x}, {"y": x @ weights}, **{**EXTERNAL, "variants": variants, "files": files, **changes}
    )


TEXT: dict[str, Any] = {
    "inputs": [spec("ids", "INT64", -1, 6)],
    "outputs": [spec("logits", "FP32", -1, 3)],
    "preprocess": {"kind": "text", "buckets": 99, "length": 6, "fold": ["urls"]},
    "postprocess": {"kind": "classify", "top": 2},
    "labels": LABELS,
}


def text_package(out: Path, **changes: Any) -> Package:
    """`text.onnx`, which counts the words of a text by what their numbers leave when divided by 3."""
    ids = np.array([[1, 4, 2, 0, 0, 0], [99, 98, 97, 96, 95, 94]])
    logits = np.array([[0, 2, 1], [2, 2, 2]], np.float32)
    return packed(out, "text", {"ids": ids}, {"logits": logits}, **{**TEXT, **changes})


def slow_package(out: Path, name: str = "slow") -> Package:
    """`slow.onnx`: as tiny, but by another name, and no request of it is computed on the spot."""
    content = {"variants/cpu-fp32.onnx": (HERE / "slow.onnx").read_bytes(), "golden.npz": golden()}
    return write_package(out, fields(name=name), content, {})


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return write_package(tmp_path / "tiny", fields(), files(), {"report.json": b"{}"})


@pytest.fixture(scope="session")
def tiny() -> Any:
    """This module: the tiny package's parts, for tests that change one."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server with the tiny package."""
    folder = tmp_path_factory.mktemp("served")
    write_package(folder / "tiny", fields(), files(), {"report.json": b"{}"})
    with serving(folder / "tiny", environment={"JOULEBOX_CPU_WATTS": "4.5"}) as address:  # on any host
        yield address
