"""What the parts of the benchmark measured, gathered over rounds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import inf
from statistics import median as middle
from statistics import quantiles

from bench.load import Load, median
from bench.openloop import Overload


@dataclass(frozen=True)
class Row:
    """Medians over the rounds, and the requests/s of each."""

    server: str
    wire: str
    connections: int
    load: Load
    rounds_per_s: list[float]


@dataclass(frozen=True)
class Start:
    """Seconds from the command to the first right answer, and resident memory a hundred requests later."""

    server: str
    ready_s: float
    resident_mb: float


@dataclass(frozen=True)
class Compared:
    """Servers side by side: medians over the rounds, and why a server is not among them."""

    model: str
    rows: list[Row]
    starts: list[Start]
    not_run: dict[str, str]

    def load(self, server: str, connections: int) -> Load | None:
        """Of that server at that many connections, where it was measured."""
        row = self._row(server, connections)
        return row and row.load

    def ratio(self, of: str, to: str, connections: int) -> float | None:
        """Of requests/s: the median over the rounds of what each round saw, since machines are faster at one time than at another."""
        one, other = self._row(of, connections), self._row(to, connections)
        if (
            one is None
            or other is None
            or len(one.rounds_per_s) != len(other.rounds_per_s)
            or not all(other.rounds_per_s)
        ):
            return None
        return middle(mine / theirs for mine, theirs in zip(one.rounds_per_s, other.rounds_per_s, strict=True))

    def _row(self, server: str, connections: int) -> Row | None:
        return next((row for row in self.rows if (row.server, row.connections) == (server, connections)), None)


@dataclass(frozen=True)
class Overloaded:
    """What came of more than the capacity, which is what a closed loop got just before."""

    model: str
    capacity_per_s: float
    deadline_s: float
    seen: Overload


@dataclass(frozen=True)
class Accounting:
    """The same server with energy accounting and without, round by round."""

    model: str
    workers: int
    connections: int
    on: list[Load]
    off: list[Load]

    @property
    def ratio(self) -> float:
        """Of requests/s, on ÷ off: the median of each round's own."""
        return middle(self._ratios)

    @property
    def error(self) -> float:
        """One standard error of the ratio, by the quartiles (McGill, Tukey and Larsen, Variations of Box Plots, 1978)."""
        lower, _, upper = quantiles(self._ratios) if len(self.on) > 1 else (0.0, 0.0, inf)
        return 1.25 * (upper - lower) / 1.35 / len(self.on) ** 0.5

    @property
    def _ratios(self) -> list[float]:
        return [on.requests_per_s / off.requests_per_s for on, off in zip(self.on, self.off, strict=True)]


@dataclass(frozen=True)
class Drift:
    """Resident memory after so many requests."""

    ready_s: float
    requests: list[int]
    resident_mb: list[float]


@dataclass
class Gathered:
    """What the rounds gave so far, by server, and by server and connections."""

    loads: dict[tuple[str, int], list[Load]] = field(default_factory=lambda: defaultdict(list))
    starts: dict[str, Start] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)

    def started(self, name: str, ready_s: float, resident_mb: float) -> None:
        self.starts[name] = Start(name, ready_s, resident_mb)

    def result(self, model: str, wires: dict[str, str]) -> Compared:
        rows = [
            Row(name, wires[name], connections, median(loads), [load.requests_per_s for load in loads])
            for (name, connections), loads in self.loads.items()
        ]
        starts, order = list(self.starts.values()), list(wires)
        rows.sort(key=lambda row: (row.connections, order.index(row.server)))
        starts.sort(key=lambda start: order.index(start.server))
        return Compared(model, rows, starts, self.not_run)
