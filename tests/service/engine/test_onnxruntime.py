"""ONNX Runtime runs what the variant says, or says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from joulebox.engine import EngineError, open_engine, rungs
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.package import Package, PackageError, Variant


def test_a_variant_runs(package: Package) -> None:
    engine = open_engine(package, package.manifest.variants[0], threads=1)
    outputs = engine.run({"image": np.ones((2, 1, 4, 4), np.float32)})
    np.testing.assert_allclose(outputs["logits"], [[6, 5, 5], [6, 5, 5]])
    assert (engine.name, engine.device) == ("onnxruntime", "cpu")


def test_a_truncated_file_is_refused_before_it_is_parsed(package: Package) -> None:
    file = package.folder / "variants/cpu-fp32.onnx"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(PackageError, match="338 bytes, expected 348"):
        open_engine(package, package.manifest.variants[0], threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine_version_min": "99.0"}, "needs 99.0 or later"),
        ({}, "does not load"),
    ],
)
def test_what_this_host_cannot_run_is_an_engine_error(
    package: Package, tiny: Any, change: dict[str, Any], message: str
) -> None:
    variant = Variant.model_validate({**tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"), **change})
    with pytest.raises(EngineError, match=message):
        OnnxRuntimeEngine(variant, b"junk", package.manifest, threads=1)


def test_a_model_whose_tensors_are_not_the_manifests_is_refused(package: Package, tiny: Any) -> None:
    manifest = package.manifest.model_copy(
        update={"inputs": [package.manifest.inputs[0].model_copy(update={"name": "other"})]}
    )
    with pytest.raises(EngineError, match="the manifest says"):
        OnnxRuntimeEngine(manifest.variants[0], (tiny.HERE / "tiny.onnx").read_bytes(), manifest, threads=1)


def test_the_ladder_tries_int8_before_fp32(tiny: Any) -> None:
    variants = [Variant.model_validate(tiny.variant(name, name, "variants/x.onnx")) for name in ("fp32", "int8")]
    assert [variant.precision for variant in rungs(variants)] == ["int8", "fp32"]
