"""OpenVINO runs the CPU's ONNX files as ONNX Runtime does, or says why not; it is tried after it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from joulebox.engine import Engine, EngineError, Rung, open_engine, rungs
from joulebox.engine.openvino import OpenVinoEngine
from joulebox.metrics import Metrics
from joulebox.package import Package, PackageError, write_package
from joulebox.runtime.errors import LoadError
from joulebox.runtime.model import Model
from joulebox.runtime.records import Records
from joulebox.runtime.settings import Settings

pytest.importorskip("openvino")


def opened(package: Package, *, threads: int = 1) -> Engine:
    (variant,) = package.manifest.variants
    return open_engine(package, Rung(variant, "openvino", threads))


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_it_answers_as_onnx_runtime_does(package: Package, threads: int) -> None:
    (variant,) = package.manifest.variants
    engine, other = opened(package, threads=threads), open_engine(package, Rung(variant, "onnxruntime"))
    assert (engine.name, engine.device) == ("openvino", "cpu")
    for items in (1, 3, 2):
        images = np.random.default_rng(items).normal(size=(items, 1, 4, 4)).astype(np.float32)
        mine, theirs = engine.run({"image": images}), other.run({"image": images})
        np.testing.assert_allclose(mine["logits"], theirs["logits"], atol=1e-6)


def test_threads_get_their_own_answers_which_later_runs_do_not_change(package: Package) -> None:
    engine = opened(package)
    images = [np.full((1, 1, 4, 4), float(number), np.float32) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: engine.run({"image": image})["logits"], images))
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(answer, [[6.0 * number, 5.0 * number, 5.0 * number]], rtol=1e-6)


def test_inputs_that_may_not_be_written_are_read(package: Package) -> None:
    image = np.frombuffer(np.ones(16, np.float32).tobytes(), np.float32).reshape(1, 1, 4, 4)
    np.testing.assert_allclose(opened(package).run({"image": image})["logits"], [[6, 5, 5]])


def test_weights_beside_the_model(tmp_path: Path, tiny: Any) -> None:
    package = tiny.external_package(tmp_path / "external")
    outputs = opened(package).run({"x": np.eye(16, dtype=np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.fromfile(tiny.HERE / "external.data", np.float32).reshape(16, 8))
    (package.folder / "variants/external.data").write_bytes(bytes(512))
    with pytest.raises(PackageError, match="has SHA-256"):
        opened(package)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("state_package", "sr is INT64, which OpenVINO computes in 32 bits"), ("strings_package", "strings")],
)
def test_what_it_would_cut_to_32_bits_is_left_to_onnx_runtime(tmp_path: Path, tiny: Any, kind: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        opened(getattr(tiny, kind)(tmp_path / kind))


def test_a_text_s_numbers_are_small_enough(tmp_path: Path, tiny: Any) -> None:
    engine = opened(tiny.text_package(tmp_path / "text"))
    outputs = engine.run({"ids": np.array([[3, 4, 6, 0, 0, 0]], np.int64)})
    assert outputs["logits"].tolist() == [[2.0, 1.0, 0.0]]


def test_a_client_s_inputs_are_not_kept(package: Package) -> None:
    engine, image = opened(package), np.ones((1, 1, 4, 4), np.float32)
    before = sys.getrefcount(image)
    engine.run({"image": image})
    assert sys.getrefcount(image) == before


def test_closed_it_holds_the_model_no_more(package: Package) -> None:
    engine: Any = opened(package)
    engine.run({"image": np.ones((1, 1, 4, 4), np.float32)})
    engine.close()
    assert not any((engine._compiled, engine._idle, engine._outputs))
    with pytest.raises(EngineError):
        engine.run({"image": np.ones((1, 1, 4, 4), np.float32)})


def test_what_is_no_model_is_an_engine_error(package: Package) -> None:
    (variant,) = package.manifest.variants
    with pytest.raises(EngineError, match=r"cpu-fp32\.onnx does not load: "):
        OpenVinoEngine(variant, b"junk", package.manifest, {}, threads=1)


def test_a_model_whose_tensors_are_not_the_manifests_is_refused(tmp_path: Path, tiny: Any) -> None:
    changes: dict[str, Any] = {"outputs": [tiny.spec("logits", "FP32", -1, 4)], "preprocess": None, "postprocess": None}
    package = write_package(tmp_path / "other", tiny.fields(**changes), tiny.files(), {})
    with pytest.raises(EngineError, match=r"output logits as f32 \[-1, 3\]; the manifest says FP32 \[-1, 4\]"):
        opened(package)


def test_an_input_that_it_cannot_take_is_an_engine_error_and_it_goes_on(package: Package) -> None:
    engine = opened(package)
    with pytest.raises(EngineError, match=r"image has shape \[1, 1, 5, 4\]; expected \[-1, 1, 4, 4\]"):
        engine.run({"image": np.ones((1, 1, 5, 4), np.float32)})
    np.testing.assert_allclose(engine.run({"image": np.ones((1, 1, 4, 4), np.float32)})["logits"], [[6, 5, 5]])


def test_where_it_is_not_installed_it_is_no_rung(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [rung.name for rung in rungs(package)] == ["cpu-fp32", "cpu-fp32@openvino"]
    monkeypatch.setattr("joulebox.engine.openvino.version", lambda: None)
    assert [rung.name for rung in rungs(package)] == ["cpu-fp32"]
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install 'joulebox\[openvino\]'"):
        opened(package)


def loaded(package: Package) -> Model:
    model = Model(package, Settings(), Metrics(CollectorRegistry()), Records(package.folder.parent / "work-1"))
    model.load()
    return model


def test_it_serves_what_this_onnx_runtime_is_too_old_for_and_says_so(tmp_path: Path, tiny: Any) -> None:
    newer = {**tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"), "engine_version_min": "99.0"}
    model = loaded(write_package(tmp_path / "newer", tiny.fields(variants=[newer]), tiny.files(), {}))
    assert (model.running.variant.name, model.running.engine.name) == ("cpu-fp32", "openvino")
    (step,) = model.fallbacks
    assert (step.from_variant, step.to_variant) == ("cpu-fp32", "cpu-fp32@openvino")
    assert "needs 99.0 or later" in step.reason


def test_it_is_held_against_the_goldens_as_any_engine_is(tmp_path: Path, tiny: Any) -> None:
    wrong = tiny.files() | {"golden.npz": tiny.golden(np.zeros((tiny.SAMPLES, 3), np.float32))}
    with pytest.raises(LoadError, match="cpu-fp32@openvino: cpu-fp32: golden sample 0, logits: off by"):
        loaded(write_package(tmp_path / "wrong", tiny.fields(), wrong, {}))
