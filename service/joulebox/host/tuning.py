"""How a package runs best on this host, as `joulebox tune` measured it: `tuning/VERSION.json`, the newest of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict

from joulebox.host.state import State

FOLDER = "tuning"
TUNINGS_MAX = 64
CHOICES_MAX = 64

Objective = Literal["latency", "throughput", "energy"]


class Choice(BaseModel):
    """A variant on an engine, as it runs best."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: str
    engine: str
    threads: Annotated[int, Ge(1), Le(1024)]
    batch: Annotated[int, Ge(1), Le(4096)] | None
    """None where it was not looked for: latency is of one inference at a time."""


class Tuning(BaseModel):
    """What was chosen, and under which versions of the engines' libraries: with others it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    joulebox: str
    measured_at: str
    """ISO 8601, UTC."""
    objective: Objective
    libraries: dict[str, str]
    """Engine to version."""
    choices: Annotated[list[Choice], MinLen(1), MaxLen(CHOICES_MAX)]
    """The best first."""
    results: list[dict[str, Any]]
    """What was measured, for people."""


def read_tuning(state: State, version: str) -> Tuning | None:
    """That of a package version on this host; None where there is none, or where the file is damaged, which is reported."""
    return state.read(_file(version), Tuning)


def keep_tuning(state: State, version: str, tuning: Tuning) -> Path:
    """Keeps it in place of an older one of the same package version, and gives the file's path.

    Raises:
        StateError: it cannot be written.
    """
    return state.change(_file(version), Tuning, lambda _: tuning, newest=TUNINGS_MAX)


def _file(version: str) -> str:
    return f"{FOLDER}/{version}.json"
