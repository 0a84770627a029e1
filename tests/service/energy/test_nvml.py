"""NVML by the names and the errors of the real `pynvml`, whose library is replaced: what each GPU supports is told by reading."""

# ruff: noqa: N802 - the names are pynvml's

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_uint
from dataclasses import dataclass, field
from typing import Any

import pynvml
import pytest

from joulebox.energy import ReadError, Unavailable
from joulebox.energy.nvml import probe

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


@dataclass
class Gpu:
    """A card; None for what it does not support."""

    uuid: str
    energy_mj: int | None = None
    usage_mw: int | None = None
    instant_mw: int | None = None
    instant_type: int = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    mig: int | None = None
    parent: Gpu | None = None
    name: str | bytes = "NVIDIA H100 80GB HBM3"


@dataclass
class Library:
    """An object with pynvml's names."""

    gpus: list[Gpu] = field(default_factory=list)
    init_error: int | None = None
    shut_down: int = 0

    def __getattr__(self, name: str) -> Any:
        """Constants and errors are the real ones, and so is the absence of any other name."""
        if name.startswith(("NVML_", "NVMLError")):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)

    def nvmlShutdown(self) -> None:
        self.shut_down += 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, handle: Gpu) -> str:
        return handle.uuid

    def nvmlDeviceGetName(self, handle: Gpu) -> str | bytes:
        return handle.name

    def nvmlDeviceIsMigDeviceHandle(self, handle: Gpu) -> c_uint:
        return c_uint(handle.parent is not None)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Gpu) -> Gpu | None:
        return handle.parent

    def nvmlDeviceGetMigMode(self, handle: Gpu) -> list[int]:
        return [_supported(handle.mig), 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Gpu) -> int:
        return _supported(handle.energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle: Gpu) -> int:
        return _supported(handle.usage_mw)

    def nvmlDeviceGetFieldValues(self, handle: Gpu, fields: list[int]) -> Any:
        assert fields == [pynvml.NVML_FI_DEV_POWER_INSTANT]
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        values[0].fieldId = fields[0]
        values[0].nvmlReturn = NOT_SUPPORTED if handle.instant_mw is None else pynvml.NVML_SUCCESS
        values[0].valueType = handle.instant_type
        name = "dVal" if handle.instant_type == pynvml.NVML_VALUE_TYPE_DOUBLE else "uiVal"
        setattr(values[0].value, name, handle.instant_mw or 0)
        return values


def _supported(value: int | None) -> int:
    if value is None:
        raise pynvml.NVMLError(NOT_SUPPORTED)
    return value


def test_every_name_that_is_used_is_one_of_the_real_package() -> None:
    names = [name for name in vars(Library) if name.startswith("nvml")]
    assert len(names) == 12
    assert all(callable(getattr(pynvml, name)) for name in names)


def meters_of(*gpus: Gpu) -> list[Any]:
    meters = probe(lambda: Library(list(gpus)))
    assert not isinstance(meters, Unavailable), meters
    return meters


def test_a_card_that_counts_is_measured() -> None:
    card = Gpu("GPU-1", energy_mj=5_000_000, usage_mw=70_000)
    (meter,) = meters_of(card)
    assert (meter.device.name, meter.device.source, meter.device.unit) == ("gpu-0", "measured", "mJ")
    assert meter.device.domain == "gpu"
    card.energy_mj = 5_000_750
    assert meter.joules() == pytest.approx(0.75)
    assert meter.sample() == 5_000_750


@pytest.mark.parametrize("kind", [pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, pynvml.NVML_VALUE_TYPE_DOUBLE])
def test_one_that_does_not_is_integrated_from_its_instant_power(kind: int) -> None:
    (meter,) = meters_of(Gpu("GPU-1", usage_mw=70_000, instant_mw=90_000, instant_type=kind))
    assert (meter.device.source, meter.device.kind, meter.device.unit) == ("integrated", "power", "mW")
    assert meter.sample() == 90_000
    assert "instant power" in meter.device.note


def test_an_older_one_from_its_average() -> None:
    (meter,) = meters_of(Gpu("GPU-1", usage_mw=70_000))
    assert meter.sample() == 70_000
    assert "average over 1 s" in meter.device.note


def test_orin_initialises_and_supports_nothing() -> None:
    library = Library([Gpu("GPU-orin", name="Orin (nvgpu)")])
    missing = probe(lambda: library)
    assert isinstance(missing, Unavailable)
    assert "Orin (nvgpu)" in missing.reason
    assert "Not Supported" in missing.reason
    assert library.shut_down == 1


def test_one_gpu_without_figures_does_not_hide_another() -> None:
    (meter,) = meters_of(Gpu("GPU-1"), Gpu("GPU-2", energy_mj=1))
    assert meter.device.name == "gpu-1"


def test_a_card_split_in_mig_devices_is_reported_once() -> None:
    card = Gpu("GPU-1", energy_mj=1000, mig=1)
    (meter,) = meters_of(card, Gpu("MIG-1", parent=card), Gpu("MIG-2", parent=card))
    assert "shared by its MIG devices" in meter.device.note
    (meter,) = meters_of(Gpu("MIG-1", parent=card), Gpu("MIG-2", parent=card))
    assert "GPU-1" in meter.device.note, "even where only its parts are listed"


def test_a_driver_that_was_reloaded_is_a_reset() -> None:
    card = Gpu("GPU-1", energy_mj=1000)
    (meter,) = meters_of(card)
    card.energy_mj = 10
    with pytest.raises(ReadError, match="reset"):
        meter.joules()


def test_a_card_that_falls_off_the_bus_is_an_error_not_a_zero() -> None:
    card = Gpu("GPU-1", energy_mj=1000)
    (meter,) = meters_of(card)
    card.energy_mj = None
    with pytest.raises(ReadError, match="Not Supported"):
        meter.joules()
    card.energy_mj = 9000
    assert meter.joules() == 0.0, "what was used meanwhile is unknown"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "Library Not Found"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"),
    ],
)
def test_without_a_driver_it_says_what_to_do(code: int, word: str) -> None:
    missing = probe(lambda: Library(init_error=code))
    assert isinstance(missing, Unavailable)
    assert word in missing.reason
    assert "--gpus all" in missing.reason


def test_without_the_package_it_says_which() -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'pynvml'")

    missing = probe(load)
    assert isinstance(missing, Unavailable)
    assert "pip install nvidia-ml-py" in missing.reason


def test_a_driver_without_devices_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = probe(Library)
    assert isinstance(missing, Unavailable)
    assert "no device" in missing.reason

    def fail(_: Library) -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    monkeypatch.setattr(Library, "nvmlDeviceGetCount", fail)
    missing = probe(Library)
    assert isinstance(missing, Unavailable)
    assert "Insufficient Permissions" in missing.reason


def test_the_real_library_is_asked_where_there_is_one() -> None:
    load: Callable[[], Any] = lambda: pynvml  # noqa: E731
    found = probe(load)
    assert isinstance(found, Unavailable) or all(meter.device.reader == "nvml" for meter in found)
