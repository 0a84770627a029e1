"""A tiny package that needs neither torch nor onnx, for all tests of the device side."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

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
