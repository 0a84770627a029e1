"""NVIDIA GPUs through NVML, by the names of NVIDIA's own Python package (nvidia-ml-py, module `pynvml`).

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html: `nvmlDeviceGetTotalEnergyConsumption` counts mJ since
the driver was loaded, on Volta and later; `nvmlDeviceGetPowerUsage` is mW, averaged over one second on Ampere and later
(GA100 excepted), so that the field POWER_INSTANT comes first where it is known. A100 and H100 sample power a quarter of the
time. Jetson Orin initialises, counts one device and then supports neither: what cannot be read is not there. A MIG device
shares its parent's counter, and the parent is reported, once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from joulebox.energy.counter import CounterMeter
from joulebox.energy.integrate import PowerMeter
from joulebox.energy.reader import Device, Gauge, Probe, ReadError, Unavailable
from joulebox.host.gpus import NvmlError, load_pynvml, start_nvml

READER = "nvml"
MOST_DEVICES = 64


def probe(load: Callable[[], Any] = load_pynvml) -> Probe:
    """The GPUs that say their energy or their power.

    Args:
        load: gives the module; another one in tests.
    """
    try:
        pynvml = start_nvml(load)
    except NvmlError as error:
        return Unavailable(READER, str(error))
    try:
        meters, reasons = _open_all(pynvml)
    except pynvml.NVMLError as error:
        meters, reasons = [], [f"NVML does not list its devices: {error}"]
    if meters:
        return meters
    pynvml.nvmlShutdown()
    return Unavailable(READER, "; ".join(reasons[:4]) or "NVML knows no device")


def _open_all(pynvml: Any) -> tuple[list[Gauge], list[str]]:
    meters: list[Gauge] = []
    reasons: list[str] = []
    seen: set[str] = set()
    for index in range(min(pynvml.nvmlDeviceGetCount(), MOST_DEVICES)):
        try:
            handle = _parent(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index))
            uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
        except pynvml.NVMLError as error:
            reasons.append(f"device {index}: {error}")
            continue
        if uuid in seen:
            continue
        seen.add(uuid)
        name = f"{_name(pynvml, handle)} {uuid}"
        try:
            meters.append(_open(pynvml, handle, f"gpu-{index}", name))
        except ReadError as error:
            reasons.append(f"{name} says neither its energy nor its power: {error}")
    return meters, reasons


def _open(pynvml: Any, handle: Any, device: str, name: str) -> Gauge:
    """The best that a device supports, found by reading it.

    Raises:
        ReadError: it supports nothing.
    """
    shared = ", shared by its MIG devices" if _is_split(pynvml, handle) else ""
    try:
        described = Device(device, READER, "measured", f"{name}: total energy counter{shared}", unit="mJ", domain="gpu")
        return CounterMeter(described, partial(_energy_mj, pynvml, handle), 1e-3)
    except ReadError:
        pass  # older than Volta, or a device of another kind
    how, power = "instant power", partial(_instant_mw, pynvml, handle)
    try:
        power()
    except ReadError:
        how, power = "power usage, which the driver may average over 1 s", partial(_usage_mw, pynvml, handle)
        power()
    note = f"{name}: {how}{shared}"
    return PowerMeter(Device(device, READER, "integrated", note, kind="power", unit="mW", domain="gpu"), power, 1e-3)


def _energy_mj(pynvml: Any, handle: Any) -> int:
    try:
        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except pynvml.NVMLError as error:
        raise ReadError(f"total energy: {error}") from error


def _usage_mw(pynvml: Any, handle: Any) -> float:
    try:
        return float(pynvml.nvmlDeviceGetPowerUsage(handle))
    except pynvml.NVMLError as error:
        raise ReadError(f"power: {error}") from error


def _instant_mw(pynvml: Any, handle: Any) -> float:
    try:
        (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_POWER_INSTANT])
    except (pynvml.NVMLError, AttributeError) as error:  # an old driver, an old pynvml
        raise ReadError(f"instant power: {error}") from error
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise ReadError(f"instant power: {pynvml.NVMLError(value.nvmlReturn)}")
    return float(_number(pynvml, value))


def _number(pynvml: Any, value: Any) -> float:
    """A field's value: a C union, and `valueType` says by which of its names it was written."""
    names = {
        pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    }
    return getattr(value.value, names.get(value.valueType, "uiVal"))


def _parent(pynvml: Any, handle: Any) -> Any:
    """The whole card a MIG device is a part of; else the device itself."""
    try:
        split = pynvml.nvmlDeviceIsMigDeviceHandle(handle)
        if getattr(split, "value", split):  # pynvml gives a c_uint
            return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:
        pass  # a driver from before MIG
    return handle


def _is_split(pynvml: Any, handle: Any) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:
        return False  # the device knows no MIG
    return current == 1


def _name(pynvml: Any, handle: Any) -> str:
    try:
        return _text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError:
        return "GPU"


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
