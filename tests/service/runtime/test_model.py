"""A model takes traffic only on a variant that reproduced its goldens here, and every step down is seen."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from joulebox.engine import EngineError, library_versions
from joulebox.engine.onnxruntime import OnnxRuntimeEngine
from joulebox.engine.openvino import OpenVinoEngine
from joulebox.host import Choice, Tuning, keep_tuning, open_state
from joulebox.metrics import Metrics
from joulebox.package import Package, write_package
from joulebox.runtime.errors import Expired, LoadError, NotReady, Overloaded
from joulebox.runtime.model import Model, State
from joulebox.runtime.records import EXECUTIONS, ITEMS, STARTED_NS, Records
from joulebox.runtime.settings import Settings

ONE = {"image": np.ones((1, 1, 4, 4), np.float32)}


def model_of(package: Package, **settings: Any) -> tuple[Model, CollectorRegistry]:
    registry = CollectorRegistry()
    records = Records(package.folder.parent / "work-1")
    return Model(package, Settings(**settings), Metrics(registry), records), registry


def done(model: Model) -> tuple[int, int]:
    """Executions and items so far."""
    fields = model.observed.record.totals().fields
    return fields[EXECUTIONS], fields[ITEMS]


def test_loading_verifies_warms_up_and_is_ready(package: Package) -> None:
    model, registry = model_of(package)
    with pytest.raises(NotReady, match="loading"):
        _ = model.running
    model.load()
    assert model.state is State.READY
    assert model.running.variant.name == "cpu-fp32"
    labels = {"model": "tiny", "version": model.version, "state": "ready"}
    assert registry.get_sample_value("joulebox_model_state", labels) == 1


def test_inference_gives_outputs_and_counts_its_work(package: Package) -> None:
    model, registry = model_of(package)
    model.load()
    inference = asyncio.run(model.infer({"image": np.ones((5, 1, 4, 4), np.float32)}))
    np.testing.assert_allclose(inference.outputs["logits"], [[6, 5, 5]] * 5)
    assert done(model) == (1, 5)
    assert inference.compute_s > 0
    model.flush()
    labels = {"model": "tiny", "version": model.version, "engine": "onnxruntime"}
    assert registry.get_sample_value("joulebox_inferences_total", labels) == 5


def test_work_on_the_event_loop_that_takes_long_is_seen_by_other_workers(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = model_of(package)
    model.load()
    run, seen = model.running.engine.run, []

    def watched(inputs: Any) -> Any:
        seen.append(model.observed.record.totals().fields[STARTED_NS])
        return run(inputs)

    monkeypatch.setattr(model.running.engine, "run", watched)
    assert model.infer_now(ONE, alone=True) is not None
    assert seen[0] > 0
    assert model.observed.record.totals().fields[STARTED_NS] == 0


def test_while_batches_wait_longer_no_request_is_computed_at_once(package: Package) -> None:
    async def scenario() -> None:
        model, _ = model_of(package, batch_max=2, batch_delay_ms=1)
        assert not model.could_wait(30.0), "it is not loaded"
        model.load()
        assert (model.could_wait(30.0), model.could_wait(1e-3)) == (True, False)
        assert model.infer_now(ONE) is not None
        model.wait_up_to(30.0)
        assert model.infer_now(ONE) is None
        assert model.infer_now(ONE, alone=True) is None
        pair = await asyncio.gather(model.infer(ONE), model.infer(ONE))
        assert [inference.batch_items for inference in pair] == [2, 2]
        model.wait_up_to(0.0)
        assert model.infer_now(ONE) is not None

    asyncio.run(scenario())


def test_a_model_that_is_not_batched_computes_one_item_whatever_its_shapes(tmp_path: Path, tiny: Any) -> None:
    model, _ = model_of(tiny.state_package(tmp_path / "state"))
    model.load()
    given = {"input": np.ones((3, 9), np.float32), "state": np.zeros((2, 3, 4), np.float32), "sr": np.array(8000)}
    inference = asyncio.run(model.infer(given))
    assert inference.items == 1
    assert done(model) == (1, 1)
    assert inference.outputs["output"].shape == (3, 1)


def two_variants(tmp_path: Path, tiny: Any, wrong: str) -> Package:
    variants = [
        tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"),
        tiny.variant("cpu-int8", "int8", "variants/wrong.onnx"),
    ]
    content = (tiny.HERE / wrong).read_bytes() if wrong else b"not a model"
    return write_package(
        tmp_path / "two", tiny.fields(variants=variants), {**tiny.files(), "variants/wrong.onnx": content}, {}
    )


@pytest.mark.parametrize(
    ("wrong", "reason", "said"), [("wrong.onnx", "golden_mismatch", "off by"), ("", "engine", "does not load")]
)
def test_a_variant_that_does_not_work_here_is_stepped_over_visibly(
    tmp_path: Path, tiny: Any, wrong: str, reason: str, said: str
) -> None:
    model, registry = model_of(two_variants(tmp_path, tiny, wrong))
    model.load()
    assert model.running.variant.name == "cpu-fp32"
    (step,) = model.fallbacks
    assert (step.from_variant, step.to_variant) == ("cpu-int8", "cpu-fp32")
    assert said in step.reason
    labels = {"model": "tiny", "from_engine": "onnxruntime", "to_engine": "onnxruntime", "reason": reason}
    assert registry.get_sample_value("joulebox_engine_fallback_total", labels) == 1


def test_without_a_working_variant_the_model_fails_and_says_why(tmp_path: Path, tiny: Any) -> None:
    files = {**tiny.files(), "variants/cpu-fp32.onnx": (tiny.HERE / "wrong.onnx").read_bytes()}
    model, registry = model_of(write_package(tmp_path / "bad", tiny.fields(), files, {}))
    with pytest.raises(LoadError, match="golden sample 0"):
        model.load()
    with pytest.raises(NotReady, match="failed: no variant of tiny works"):
        asyncio.run(model.infer(ONE))
    assert registry.get_sample_value("joulebox_load_failures_total", {"model": "tiny", "reason": "no_variant"}) == 1


def test_requests_are_joined_only_if_each_comes_out_as_it_does_alone(
    package: Package, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = model_of(package, batch_max=4)
    model.load()
    assert model.running.plan.batch_max == 4
    run = OnnxRuntimeEngine.run

    def mixing(self: OnnxRuntimeEngine, inputs: Any) -> Any:
        return {name: array + (0.1 if len(array) > 1 else 0.0) for name, array in run(self, inputs).items()}

    monkeypatch.setattr(OnnxRuntimeEngine, "run", mixing)
    model, _ = model_of(package, batch_max=4)
    model.load()
    assert (model.running.plan.batch_max, model.running.plan.delay_s) == (1, 0.0)
    assert "golden samples in one batch, logits: off by 0.1" in caplog.text


def test_a_batch_too_large_for_the_engine_does_not_keep_a_model_from_serving(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxRuntimeEngine.run

    def short_of_memory(self: OnnxRuntimeEngine, inputs: Any) -> Any:
        if len(inputs["image"]) > 1:
            raise EngineError("Failed to allocate memory")
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", short_of_memory)
    for settings in ({}, {"batch_max": 8}):
        model, _ = model_of(package, **settings)
        model.load()
        assert model.state is State.READY
        assert model.running.plan.batch_max == 1


def test_what_serves_a_model_is_said_while_it_does(package: Package) -> None:
    model, registry = model_of(package)
    model.load()
    labels = {
        "model": "tiny",
        "version": model.version,
        "variant": "cpu-fp32",
        "engine": "onnxruntime",
        "precision": "fp32",
        "device": "cpu",
    }
    assert registry.get_sample_value("joulebox_engine_info", labels) == 1
    asyncio.run(model.drain())
    assert registry.get_sample_value("joulebox_engine_info", labels) == 0
    with pytest.raises(NotReady, match="unloaded"):
        asyncio.run(model.infer(ONE))


def test_refusals_are_counted_by_their_reason(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulebox.runtime.batcher.INLINE_S", 0.0)

    async def scenario() -> None:
        model, registry = model_of(package, queue_size=1)
        model.load()
        asked = [asyncio.create_task(model.infer(ONE)) for _ in range(5)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        full = [error for error in found if isinstance(error, Overloaded)]
        assert len(full) == 3, "one is computed, one waits"
        assert all(str(error).startswith("model 'tiny': 1 requests wait already") for error in full)
        with pytest.raises(Expired):
            await model.infer(ONE, deadline_s=0.0)
        for reason, count in (("queue_full", 3), ("deadline", 1)):
            labels = {"model": "tiny", "reason": reason}
            assert registry.get_sample_value("joulebox_requests_rejected_total", labels) == count

    asyncio.run(scenario())


def test_draining_waits_for_the_answers_under_way(package: Package) -> None:
    async def scenario() -> None:
        model, _ = model_of(package)
        model.load()
        model.enter_request()
        drain = asyncio.create_task(model.drain())
        await asyncio.sleep(0.01)
        assert model.state is State.DRAINING
        assert not drain.done()
        model.leave_request()
        await drain
        assert model.state is State.UNLOADED

    asyncio.run(scenario())


class Closing:
    """Notes which engines were closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed: list[str] = []
        for engine in (OnnxRuntimeEngine, OpenVinoEngine):
            monkeypatch.setattr(engine, "close", lambda opened: self.closed.append(opened.name))


def test_what_a_model_runs_on_is_closed_when_it_has_drained(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    closing = Closing(monkeypatch)
    model, _ = model_of(package)
    model.load()
    assert closing.closed == []
    asyncio.run(model.drain())
    assert closing.closed == ["onnxruntime"]


def test_what_does_not_reproduce_the_goldens_is_closed(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = Closing(monkeypatch)
    wrong = {**tiny.files(), "golden.npz": tiny.golden(np.zeros((tiny.SAMPLES, 3), np.float32))}
    model, _ = model_of(write_package(tmp_path / "wrong", tiny.fields(), wrong, {}))
    with pytest.raises(LoadError):
        model.load()
    assert closing.closed == list(library_versions())


def tuned_for_batches(package: Package, **libraries: str) -> None:
    choice = Choice(variant="cpu-fp32", engine="onnxruntime", threads=2, batch=5)
    at = "2026-11-23T12:00:00+00:00"
    tuning = Tuning(
        joulebox="1", measured_at=at, objective="throughput", libraries=libraries, choices=[choice], results=[]
    )
    keep_tuning(open_state(os.environ), package.manifest.version, tuning)


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOULEBOX_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.usefixtures("own_state")
def test_batches_are_as_large_as_tuned_unless_they_are_set(package: Package) -> None:
    tuned_for_batches(package, **library_versions())
    model, _ = model_of(package)
    model.load()
    assert (model.running.plan.batch_max, model.running.rung.tuned) == (5, True)
    model, _ = model_of(package, batch_max=3)
    model.load()
    assert model.running.plan.batch_max == 3


def test_a_damaged_tuning_is_as_good_as_none(
    package: Package, own_state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tuned_for_batches(package, **library_versions())
    (kept,) = own_state.rglob("tuning/*.json")
    kept.write_text(kept.read_text()[:-20])
    model, _ = model_of(package)
    model.load()
    assert not model.running.rung.tuned
    assert "is damaged" in caplog.text
