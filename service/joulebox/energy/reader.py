"""What an energy reader is: it probes the host for devices, and each device has a counter of joules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from joulebox.energy.idle import Idle

Source = Literal["measured", "integrated", "estimated"]
"""A hardware counter; power samples integrated over time; a model of the host."""

Kind = Literal["counter", "power", "model"]
"""What the hardware offers: energy that adds up, power at an instant, or nothing at all."""

Domain = Literal["system", "board", "cpu", "gpu", "memory", "part"]
"""What a device covers, the widest first: all that the host draws, a module with all that is on it, a CPU package, a GPU,
memory, and a part of one of these. `sources` decides by it which devices overlap."""


Mark = tuple[float, ...]
"""What a meter needs to go on; empty where it cannot."""


WEAKEST_FIRST: tuple[Source, ...] = ("estimated", "integrated", "measured")


def weakest(sources: Iterable[Source]) -> Source | Literal["none"]:
    """That of a sum over devices, which is as good as its worst part; `none` of no device."""
    found = set(sources)
    for source in WEAKEST_FIRST:
        if source in found:
            return source
    return "none"


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
    idle_watts: float | None = None
    """What the device uses at rest, where the reader knows it by construction."""
    kind: Kind = "counter"
    unit: str = "uJ"
    """Of what the hardware says, and so of `Gauge.sample`: uJ, mJ, uWh, mW, uW, W, s."""
    domain: Domain = "part"
    tick_s: float | None = None
    """How often what the hardware says changes, as measured; None where it is not known."""
    within: str | None = None
    """The name of the found device that contains this one; their energies are never added up."""
    calibration: Idle | None = None
    """What it uses at rest, as measured on this host on purpose; None where it was not."""

    @property
    def identity(self) -> str:
        """What tells it from another of its name: a card by its name and number, which a slot may hold another of tomorrow."""
        return self.note if self.domain == "gpu" else ""


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

    def mark(self) -> Mark:
        """Where it stands, for another process on this host to go on from."""
        ...

    def resume(self, mark: Mark) -> None:
        """Goes on from where a meter of the same device stood, so that what was used since is counted, and once."""
        ...


@runtime_checkable
class Gauge(Meter, Protocol):
    """A meter that also shows its register, for measuring the tick."""

    def sample(self) -> float:
        """What the hardware says now, in `device.unit`; it changes nothing in what `joules` counts.

        Raises:
            ReadError: it cannot be read now.
        """
        ...


@dataclass(frozen=True)
class Unavailable:
    """A reader that found nothing, and why."""

    reader: str
    reason: str


Probe = list[Gauge] | Unavailable
