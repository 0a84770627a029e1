"""The GPUs of this host and their driver, as NVML says (nvidia-ml-py, module `pynvml`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MOST_GPUS = 64


class NvmlError(Exception):
    """NVML cannot be used; the message says why."""


@dataclass(frozen=True)
class Gpu:
    name: str
    compute_capability: str | None
    """Such as `8.7`; None where NVML does not say."""
    memory_mib: int | None


@dataclass(frozen=True)
class Gpus:
    """`why` there are none, where there are none."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    """The newest version that the driver runs."""
    why: str | None = None


def load_pynvml() -> Any:
    """NVIDIA's module; here, since it is of no use on most hosts.

    Raises:
        ImportError: it is not installed.
    """
    return importlib.import_module("pynvml")


def start_nvml(load: Callable[[], Any]) -> Any:
    """The module, started; `nvmlShutdown` ends it.

    Raises:
        NvmlError: it is not installed, or does not start.
    """
    try:
        pynvml = load()
    except ImportError as error:
        raise NvmlError(f"{error}: pip install nvidia-ml-py") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlError(
            f"NVML does not start ({error}): install NVIDIA's driver, or give the container its GPUs (--gpus all)"
        ) from error
    return pynvml


def find_gpus(load: Callable[[], Any] = load_pynvml) -> Gpus:
    """What is there, or why there is nothing.

    Args:
        load: gives the module; another one in tests.
    """
    try:
        pynvml = start_nvml(load)
    except NvmlError as error:
        return Gpus(why=str(error))
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(min(pynvml.nvmlDeviceGetCount(), MOST_GPUS))
        ]
        gpus = tuple(_gpu(pynvml, handle) for handle in handles)
        driver, cuda = _text(pynvml.nvmlSystemGetDriverVersion()), _cuda(pynvml)
    except pynvml.NVMLError as error:
        return Gpus(why=f"NVML does not list its devices: {error}")
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return Gpus(gpus, driver, cuda, None if gpus else "NVML knows no device")


def _gpu(pynvml: Any, handle: Any) -> Gpu:
    capability, memory = None, None
    with suppress(pynvml.NVMLError):
        capability = ".".join(map(str, pynvml.nvmlDeviceGetCudaComputeCapability(handle)))
    with suppress(pynvml.NVMLError):  # a Jetson's is the host's, of which NVML says nothing
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20
    return Gpu(_text(pynvml.nvmlDeviceGetName(handle)), capability, memory)


def _cuda(pynvml: Any) -> str | None:
    with suppress(pynvml.NVMLError):
        version = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return f"{version // 1000}.{version % 1000 // 10}"
    return None


def _text(said: Any) -> str:
    """Older versions of the module give bytes."""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
