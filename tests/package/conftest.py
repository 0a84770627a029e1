"""A model package small enough to tamper with at every byte. Nothing in it is parsed, so its files need no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulebox.package import Package, write_package

FILES = {"variants/cpu-fp32.onnx": b"weights of a model", "golden.npz": b"inputs and outputs"}
EVIDENCE = {"report.json": b'{"accuracy": 0.9}', "report.html": b"<p>0.9</p>"}


def fields(**changes: Any) -> dict[str, Any]:
    """Fields of a sound manifest, for one image classifier with two classes."""
    return {
        "schema_version": 1,
        "name": "toy",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 2, 2]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}],
        "preprocess": {"kind": "image", "height": 2, "width": 2, "channels": 1, "mean": [0.5], "std": [0.25]},
        "postprocess": {"kind": "classify", "temperature": 1.5, "top": 2},
        "labels": ["no", "Jäger–Σ"],
        "variants": [
            {
                "name": "cpu-fp32",
                "file": "variants/cpu-fp32.onnx",
                "engine": "onnxruntime",
                "provider": "CPUExecutionProvider",
                "engine_version_min": "1.20",
                "precision": "fp32",
                "golden_tolerance": 0.001,
            }
        ],
        "golden": {"file": "golden.npz", "samples": 2},
        "gate": [{"limit": "accuracy_min", "expected": ">= 0.85", "actual": 0.9, "passed": True}],
        "lineage": {"inputs": "0" * 64, "made_of": {"seed": 0}},
        **changes,
    }


Make = Callable[..., Package]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a package into `tmp_path/toy`; keywords change the manifest's fields."""

    def make(
        files: dict[str, bytes] | None = None, evidence: dict[str, bytes] | None = None, **changes: Any
    ) -> Package:
        return write_package(tmp_path / "toy", fields(**changes), files or FILES, evidence or EVIDENCE)

    return make
