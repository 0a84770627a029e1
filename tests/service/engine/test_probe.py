"""A provider works if it computes a tiny model, in a process of its own; else there is the true reason."""

from __future__ import annotations

import pytest

from joulebox.engine import EngineError, Rung, library_versions, open_engine
from joulebox.engine import probe as module
from joulebox.engine.probe import probe, probe_all, reason
from joulebox.package import Package, Variant

LIBRARY_MISSING = """\
2026-11-23 15:01:35.094 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] /onnxruntime_src/onnxruntime/core/session/\
provider_bridge_ort.cc:2043 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load \
library /venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open \
shared object file: No such file or directory
2026-11-23 15:01:35.095 [E:onnxruntime:, inference_session.cc:3181 operator()] This session contains graph nodes that are assigned to \
the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.
"""
"""What onnxruntime-gpu 1.31.1 said on a host without CUDA."""


def test_the_cpu_works_on_every_engine_that_is_installed() -> None:
    assert [each.engine for each in probe_all() if "CPU" in each.provider and each.why is None] == list(
        library_versions()
    )


def test_a_provider_that_is_not_there_does_not_work() -> None:
    assert probe("NoSuchExecutionProvider") is not None


def test_one_that_hangs_is_given_up() -> None:
    assert probe("CPUExecutionProvider", timeout_s=0.01) == "it did not answer within 0.01 s"


def test_where_no_process_can_be_started_that_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert (probe("CPUExecutionProvider") or "").startswith("no process could be started to try it: ")


def test_the_library_that_is_missing_is_the_reason() -> None:
    said = reason("This session contains graph nodes that are assigned to the default CPU EP\n", LIBRARY_MISSING, 1)
    assert said == (
        "libonnxruntime_providers_cuda.so cannot be loaded: libcublasLt.so.13: cannot open shared object file: "
        "No such file or directory"
    )


@pytest.mark.parametrize(
    ("out", "log", "status", "said"),
    [
        ("", "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1\n", 1, "CUDA failure 100: no CUDA-capable"),
        ("EP Error\nit computes [0], not [4]\n", "", 1, "it computes [0], not [4]"),
        ("", "Segmentation fault\n", -11, "its process ended with status -11: Segmentation fault"),
        ("", "", -9, "its process ended with status -9: it said nothing"),
    ],
)
def test_whatever_happened_is_said(out: str, log: str, status: int, said: str) -> None:
    assert reason(out, log, status).startswith(said)


def test_a_rung_on_a_provider_that_does_not_work_fails_with_that_reason(
    package: Package, tiny_variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with onnxruntime-gpu on a host without CUDA, whose list of providers has it."""
    monkeypatch.setattr("joulebox.engine.onnxruntime.providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("joulebox.engine.ladder.probe", lambda _: reason("", LIBRARY_MISSING, 1))
    with pytest.raises(
        EngineError, match=r"CUDAExecutionProvider does not work here: libonnxruntime_providers_cuda\.so"
    ):
        open_engine(package, Rung(tiny_variant, "onnxruntime"))


@pytest.fixture
def tiny_variant(package: Package) -> Variant:
    (variant,) = package.manifest.variants
    return variant.model_copy(update={"provider": "CUDAExecutionProvider"})


def test_its_model_is_part_of_the_package() -> None:
    assert module.MODEL.is_file()
