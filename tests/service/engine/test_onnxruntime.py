"""ONNX Runtime runs what the variant says, or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulebox.engine import Engine, EngineError, Rung, open_engine
from joulebox.engine.datatypes import NUMPY
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.package import Package, PackageError, Variant, write_package
from joulebox.package.manifest import Datatype


def test_a_variant_runs(package: Package) -> None:
    engine = opened(package)
    outputs = engine.run({"image": np.ones((2, 1, 4, 4), np.float32)})
    np.testing.assert_allclose(outputs["logits"], [[6, 5, 5], [6, 5, 5]])
    assert (engine.name, engine.device) == ("onnxruntime", "cpu")


def test_a_truncated_file_is_refused_before_it_is_parsed(package: Package) -> None:
    file = package.folder / "variants/cpu-fp32.onnx"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(PackageError, match="338 bytes, expected 348"):
        opened(package)


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
        OnnxRuntimeEngine(variant, b"junk", package.manifest, {}, threads=1)


def test_a_model_whose_tensors_are_not_the_manifests_is_refused(package: Package, tiny: Any) -> None:
    manifest = package.manifest.model_copy(
        update={"inputs": [package.manifest.inputs[0].model_copy(update={"name": "other"})]}
    )
    with pytest.raises(EngineError, match=r"has inputs \['image'\]; the manifest says \['other'\]"):
        OnnxRuntimeEngine(manifest.variants[0], (tiny.HERE / "tiny.onnx").read_bytes(), manifest, {}, threads=1)


def opened(package: Package) -> Engine:
    (variant,) = package.manifest.variants
    return open_engine(package, Rung(variant, "onnxruntime"))


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("inputs", ("image", "FP32", -1, 1, 4, 5), r"\[-1, 1, 4, 5\]"),
        ("inputs", ("image", "FP32", -1, 1, -1, 4), r"\[-1, 1, -1, 4\]"),
        ("inputs", ("image", "FP32", -1, 1, 4), r"\[-1, 1, 4\]"),
        ("inputs", ("image", "FP64", -1, 1, 4, 4), "FP64"),
        ("outputs", ("logits", "FP32", -1, 4), r"\[-1, 4\]"),
    ],
)
def test_shapes_and_datatypes_agree_with_the_file(tmp_path: Path, tiny: Any, kind: str, spec: Any, said: str) -> None:
    changes: dict[str, Any] = {kind: [tiny.spec(*spec)], "preprocess": None, "postprocess": None}
    package = write_package(tmp_path / "other", tiny.fields(**changes), tiny.files(), {})
    with pytest.raises(EngineError, match=f"the manifest says .*{said}"):
        opened(package)


def test_a_manifest_may_leave_open_what_the_file_says_of_an_output(tmp_path: Path, tiny: Any) -> None:
    changes: dict[str, Any] = {"outputs": [tiny.spec("logits", "FP32", -1, -1)], "postprocess": None}
    opened(write_package(tmp_path / "other", tiny.fields(**changes), tiny.files(), {}))


def test_tensors_of_rank_0_and_free_dimensions_anywhere(tmp_path: Path, tiny: Any) -> None:
    engine = opened(tiny.state_package(tmp_path / "state"))
    state = np.zeros((2, 5, 4), np.float32)
    outputs = engine.run({"input": np.ones((5, 9), np.float32), "state": state, "sr": np.array(8000)})
    assert (outputs["output"].shape, outputs["stateN"].shape) == ((5, 1), (2, 5, 4))


@pytest.mark.parametrize("name", NUMPY)
def test_every_datatype_goes_through_unchanged(tmp_path: Path, tiny: Any, name: Datatype) -> None:
    given = {each: np.array([[0, 1]]).astype(dtype) for each, dtype in NUMPY.items()}
    given["BYTES"] = np.array([["", "Jäger–Σ"]], object)
    package = tiny.packed(
        tmp_path / "datatypes",
        "datatypes",
        {f"in_{each}": array.astype("U") if each == "BYTES" else array for each, array in given.items()},
        {f"out_{each}": array.astype("U") if each == "BYTES" else array for each, array in given.items()},
        inputs=[tiny.spec(f"in_{each}", each, -1, 2) for each in given],
        outputs=[tiny.spec(f"out_{each}", each, -1, 2) for each in given],
    )
    result = opened(package).run({f"in_{each}": array for each, array in given.items()})[f"out_{name}"]
    assert result.dtype == NUMPY[name]
    np.testing.assert_array_equal(result, given[name])


def test_bytes_are_read_as_utf8(tmp_path: Path, tiny: Any) -> None:
    engine = opened(tiny.strings_package(tmp_path / "strings"))
    text = np.array(["Jäger".encode(), "red"], object)
    outputs = engine.run({"text": text, "suffix": np.array([b"!", b""], object)})
    assert outputs["joined"].tolist() == ["Jäger!", "red"]
    assert outputs["id"].tolist() == [-1, 0]
    with pytest.raises(EngineError, match=r"'text' holds b'\\xff', which is not UTF-8"):
        engine.run({"text": np.array([b"\xff"], object), "suffix": np.array([""], object)})


def test_weights_beside_the_model_are_checked_before_they_are_used(tmp_path: Path, tiny: Any) -> None:
    package = tiny.external_package(tmp_path / "external")
    outputs = opened(package).run({"x": np.eye(16, dtype=np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.fromfile(tiny.HERE / "external.data", np.float32).reshape(16, 8))
    data = package.folder / "variants/external.data"
    data.write_bytes(bytes(512))
    with pytest.raises(PackageError, match="has SHA-256"):
        opened(package)


def test_weights_that_the_package_does_not_list_are_not_looked_for(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.HERE)  # where an external.data lies
    package = tiny.external_package(
        tmp_path / "external", variants=[tiny.variant("cpu", "fp32", "variants/external.onnx")]
    )
    with pytest.raises(EngineError, match="does not load"):
        opened(package)


def test_weights_that_are_too_short_are_an_engine_error(tmp_path: Path, tiny: Any) -> None:
    package = tiny.external_package(tmp_path / "external", files={"variants/external.data": bytes(20)})
    with pytest.raises(EngineError, match="does not load"):
        opened(package)
