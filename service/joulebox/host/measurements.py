"""What the variants of a package cost on this host, as measured: `measurements/VERSION.json`, the newest of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from joulebox.host.state import State

FOLDER = "measurements"
MEASUREMENTS_MAX = 64


class _Measurement(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


def keep_measurement(state: State, version: str, content: Mapping[str, Any]) -> Path:
    """Keeps it in place of an older one of the same package version, and gives the file's path.

    Raises:
        StateError: it cannot be written.
    """
    kept = _Measurement.model_validate(dict(content))
    return state.change(f"{FOLDER}/{version}.json", _Measurement, lambda _: kept, newest=MEASUREMENTS_MAX)
