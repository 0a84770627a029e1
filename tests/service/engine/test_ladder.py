"""Which variant a host tries first: GPUs before CPUs, and within one provider what was measured on this very host."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime import get_available_providers
from prometheus_client import CollectorRegistry

from joulebox.engine import library_versions, rungs
from joulebox.engine.ladder import TIE, Place, in_order
from joulebox.host import Choice, Tuning, describe_host
from joulebox.metrics import Metrics
from joulebox.package import Package, PackageError, write_package
from joulebox.runtime.model import Model
from joulebox.runtime.records import Records
from joulebox.runtime.settings import Settings

GPU = {"CUDAExecutionProvider": "gpu", "TensorrtExecutionProvider": "trt", "CPUExecutionProvider": "cpu"}


@pytest.fixture
def packed(tiny: Any, tmp_path: Path) -> Any:
    """A package with variants of these providers and precisions, all of one file, and evidence of their latencies."""

    def pack(*kinds: tuple[str, str], latency: Any = None) -> Package:
        variants = [
            {**tiny.variant(f"{GPU[provider]}-{precision}", precision, "variants/cpu-fp32.onnx"), "provider": provider}
            for provider, precision in kinds
        ]
        evidence = {} if latency is None else {"latency.json": json.dumps(latency).encode()}
        return write_package(tmp_path / "package", tiny.fields(variants=variants), tiny.files(), evidence)

    return pack


CPU = [("CPUExecutionProvider", precision) for precision in ("fp64", "bf16", "fp16", "fp32", "mixed", "int8")]


def names(package: Package) -> list[str]:
    return [rung.name for rung in rungs(package, strict="onnxruntime")]


def test_tensorrt_comes_before_cuda_before_the_cpu_and_int8_before_fp32(packed: Any) -> None:
    package = packed(*CPU, ("CUDAExecutionProvider", "fp16"), ("TensorrtExecutionProvider", "int8"))
    assert names(package)[:4] == ["trt-int8", "gpu-fp16", "cpu-int8", "cpu-fp32"]
    assert len(names(package)) == 8


def said(**seconds: Any) -> dict[str, Any]:
    latencies = {name.replace("_", "-"): value for name, value in seconds.items()}
    return {"host": describe_host(os.environ).fingerprint, "latency_s": latencies}


TWO = [("CPUExecutionProvider", "fp32"), ("CPUExecutionProvider", "int8"), ("CUDAExecutionProvider", "fp16")]


def test_what_is_slower_on_this_host_is_not_preferred_here(packed: Any) -> None:
    assert names(packed(*TWO, latency=said(cpu_fp32=1e-4, cpu_int8=2e-4))) == ["gpu-fp16", "cpu-fp32", "cpu-int8"]


def place(name: str, precision: str, size: int) -> Place:
    return Place(name, "CPUExecutionProvider", precision, size)


def test_a_tie_within_noise_does_not_reorder_and_the_smaller_one_is_kept() -> None:
    found = [place("fp32", "fp32", 400), place("int8", "int8", 100), place("mixed", "mixed", 200)]
    slower = {"fp32": 1e-4, "mixed": 1e-4}
    assert in_order(found, {**slower, "int8": 1.04e-4}) == ["int8", "mixed", "fp32"]
    assert in_order(found, {**slower, "int8": 1.06e-4}) == ["mixed", "fp32", "int8"]
    assert in_order(found, {"fp32": 0.8e-4, "mixed": 1e-4, "int8": 0.9e-4}) == ["fp32", "int8", "mixed"]


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.integers(1, 10**6)), min_size=1, max_size=6))
def test_nothing_is_tried_after_what_is_slower_than_it_beyond_noise(forms: list[tuple[float, int]]) -> None:
    latency_s = {str(number): seconds for number, (seconds, _) in enumerate(forms)}
    ordered = in_order([place(str(number), "mixed", size) for number, (_, size) in enumerate(forms)], latency_s)
    assert sorted(ordered) == sorted(latency_s)
    for number, name in enumerate(ordered):
        assert all(latency_s[name] <= (1 + TIE) * latency_s[later] for later in ordered[number:])


def test_what_was_measured_on_another_host_changes_nothing(packed: Any) -> None:
    elsewhere = {**said(cpu_fp32=1e-4, cpu_int8=2e-4), "host": "another"}
    assert names(packed(*TWO, latency=elsewhere)) == ["gpu-fp16", "cpu-int8", "cpu-fp32"]


@pytest.mark.parametrize(
    "latency",
    [
        said(cpu_fp32=1e-4),
        said(cpu_fp32=1e-4, cpu_int8="nan"),
        said(cpu_fp32=-1, cpu_int8=-2),
        {},
        [],
        {"host": 1, "latency_s": 2},
    ],
)
def test_half_measured_or_of_another_form_it_changes_nothing(packed: Any, latency: Any) -> None:
    assert names(packed(*TWO, latency=latency)) == ["gpu-fp16", "cpu-int8", "cpu-fp32"]


def test_evidence_that_was_changed_is_refused(packed: Any) -> None:
    package = packed(*TWO, latency=said(cpu_fp32=1e-4, cpu_int8=2e-4))
    (package.folder / "latency.json").write_text("{}")
    with pytest.raises(PackageError, match="latency"):
        rungs(package)


def tuning(*choices: tuple[str, str], **libraries: str) -> Tuning:
    chosen = [Choice(variant=variant, engine=engine, threads=2, batch=8) for variant, engine in choices]
    at = "2026-11-23T12:00:00+00:00"
    return Tuning(joulebox="1", measured_at=at, objective="energy", libraries=libraries, choices=chosen, results=[])


def test_what_was_tuned_comes_first_and_the_rest_after_it(packed: Any) -> None:
    package, here = packed(*TWO), library_versions()
    ladder = rungs(package, tuning(("cpu-fp32", "onnxruntime"), ("gone", "onnxruntime"), **here), strict="onnxruntime")
    assert [rung.name for rung in ladder] == ["cpu-fp32", "gpu-fp16", "cpu-int8"]
    assert [(rung.threads, rung.batch, rung.tuned) for rung in ladder] == [(2, 8, True), *[(1, None, False)] * 2]


def test_what_was_tuned_with_another_release_of_an_engine_changes_nothing(
    packed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    package = packed(*TWO)
    assert rungs(package, tuning(("cpu-fp32", "onnxruntime"), onnxruntime="0.1")) == rungs(package)
    assert "tuned with onnxruntime 0.1 and there is" in caplog.text
    assert rungs(package, tuning(("cpu-fp32", "other"), other="1")) == rungs(package)
    assert "there is none now" in caplog.text


@pytest.mark.skipif("CUDAExecutionProvider" in get_available_providers(), reason="this host may have a GPU")
def test_a_host_without_the_provider_steps_down_and_says_why(packed: Any) -> None:
    package = packed(*TWO)
    records = Records(package.folder.parent / "work-1")
    model = Model(package, Settings(), Metrics(CollectorRegistry()), records)
    model.load()
    assert model.running.variant.name == "cpu-int8"
    (step,) = model.fallbacks
    assert (step.from_variant, step.to_variant) == ("gpu-fp16", "cpu-int8")
    assert "CUDAExecutionProvider is not in this build of onnxruntime" in step.reason
