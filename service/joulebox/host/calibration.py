"""Idle power of this host's devices, measured on purpose: `calibration.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field

from joulebox.host.state import State

FILE = "calibration.json"
DEVICES_MAX = 64

Amount = Annotated[float, Ge(0), Field(allow_inf_nan=False)]


class Calibration(BaseModel):
    """A device's idle power, and what was so at the time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    reader: str
    identity: str = ""
    """What tells the device from another of its name, where something does."""
    source: str
    watts: Amount
    error_watts: Amount
    """One standard error."""
    seconds: Amount
    """How long it was watched."""
    tick_seconds: Amount | None
    loaded: list[str]
    """The models in memory: `NAME VERSION (VARIANT)`."""
    others_busy: Annotated[float, Ge(0), Le(1)]
    """The part of the host's CPU time that other processes used."""
    measured_at: str
    """ISO 8601, UTC."""
    joulebox: str


class _Calibrations(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    host: dict[str, Any]
    devices: Annotated[list[Calibration], MaxLen(DEVICES_MAX)]


def read_calibrations(state: State) -> list[Calibration]:
    """Those of this host; none where there are none, or where the file is damaged, which is reported."""
    found = state.read(FILE, _Calibrations)
    return found.devices if found else []


def keep_calibrations(state: State, new: Sequence[Calibration]) -> Path:
    """Keeps them in place of older ones of the same devices, and gives the file's path.

    Raises:
        StateError: it cannot be written.
    """
    measured = {(each.device, each.reader, each.identity) for each in new}

    def changed(before: _Calibrations | None) -> _Calibrations:
        old = before.devices if before else []
        others = [each for each in old if (each.device, each.reader, each.identity) not in measured]
        return _Calibrations(host=state.host.facts, devices=[*new, *others][:DEVICES_MAX])

    return state.change(FILE, _Calibrations, changed)
