"""What an energy reader is: it probes the host for devices, and each device has a counter of joules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Source = Literal["measured", "integrated", "estimated"]
"""A hardware counter; power samples integrated over time; a model of the host."""


class ReadError(Exception):
    """A counter that could be read once cannot be read now; its energy is unknown until it can."""


@dataclass(frozen=True)
class Device:
    """Something that uses energy and can say how much."""

    name: str
    reader: str
    source: Source
    note: str
    """Where the figure comes from, in words: a path, or the assumption behind an estimate."""
    busy_watts: float | None = None
    """What a busy model uses, where the reader knows it by construction: no more is attributed to one."""


class Meter(Protocol):
    """One device's counter."""

    @property
    def device(self) -> Device: ...

    def joules(self) -> float:
        """Energy since the meter was opened, never falling, wrap-around taken care of.

        Raises:
            ReadError: the counter cannot be read now.
        """
        ...


@dataclass(frozen=True)
class Unavailable:
    """A reader that found nothing, and why."""

    reader: str
    reason: str


Probe = list[Meter] | Unavailable
