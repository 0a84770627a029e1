"""What NVML says of GPUs, and of a host that has none; through an object with the names of NVIDIA's own package."""

# The names are NVIDIA's.
# ruff: noqa: N802

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from joulebox.host.gpus import Gpu, Gpus, find_gpus


class NVMLError(Exception):
    pass


def unsupported(*_: Any) -> Any:
    raise NVMLError("Not Supported")


class Library:
    """`pynvml` on a host with an L4 and a Jetson's GPU, which says little of itself."""

    NVMLError = NVMLError
    driver: Any = b"580.65.06"

    def __init__(self, count: int = 2) -> None:
        self.count = count
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> Any:
        return ["NVIDIA L4", b"Orin (nvgpu)"][handle]

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:
        return [(8, 9), (8, 7)][handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 * 2**30) if handle == 0 else unsupported()

    def nvmlSystemGetDriverVersion(self) -> Any:
        return self.driver

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 13010


def test_every_name_that_is_used_is_one_of_the_real_package() -> None:
    names = [name for name in vars(Library) if name.startswith("nvml")]
    assert len(names) == 9
    assert all(callable(getattr(pynvml, name)) for name in names)


def test_each_gpu_with_what_it_says_of_itself() -> None:
    library = Library()
    found = find_gpus(lambda: library)
    assert found.gpus == (Gpu("NVIDIA L4", "8.9", 24576), Gpu("Orin (nvgpu)", "8.7", None))
    assert (found.driver, found.cuda, found.why) == ("580.65.06", "13.1", None)
    assert library.open == 0


def absent() -> Any:
    raise ImportError("No module named 'pynvml'")


def broken(name: str) -> Any:
    library = Library()
    setattr(library, name, unsupported)
    return library


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (absent, "pip install nvidia-ml-py"),
        (lambda: broken("nvmlInit"), "NVML does not start (Not Supported)"),
        (lambda: broken("nvmlDeviceGetCount"), "NVML does not list its devices: Not Supported"),
        (lambda: Library(0), "NVML knows no device"),
    ],
)
def test_where_there_is_none_it_says_why(load: Any, why: str) -> None:
    found = find_gpus(load)
    assert found.gpus == ()
    assert why in (found.why or "")


def test_what_it_does_not_support_is_unknown() -> None:
    library = Library(1)
    for name in ("nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetMemoryInfo", "nvmlSystemGetCudaDriverVersion_v2"):
        setattr(library, name, unsupported)
    assert find_gpus(lambda: library) == Gpus((Gpu("NVIDIA L4", None, None),), "580.65.06", None, None)


def test_the_module_that_is_installed_says_why_it_found_none_or_what() -> None:
    found = find_gpus()
    assert bool(found.gpus) != bool(found.why)
