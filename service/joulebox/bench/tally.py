"""What became of the requests of one measurement. Its size does not grow with their number."""

from __future__ import annotations

from joulebox.bench.connection import OK, Answer
from joulebox.bench.encode import answer_json, error_text
from joulebox.bench.histogram import Histogram

REFUSED = ("503", "429")
LATE_S = 1e-3  # a request sent later than this after it was due counts as late
KINDS_MAX = 64


class Timings:
    """The server's own view: sums of what its `Server-Timing` headers say, in ms."""

    def __init__(self) -> None:
        self.count = 0
        self.sums_ms: dict[str, float] = {}

    def add(self, header: bytes) -> None:
        """Reads `queue;dur=0.01, compute;dur=0.2`; what is not written so is passed over."""
        self.count += 1
        for part in header.split(b","):
            name, _, text = part.strip().partition(b";dur=")
            try:
                value = float(text)
            except ValueError:
                continue
            key = name.decode("latin-1")
            if key in self.sums_ms or len(self.sums_ms) < KINDS_MAX:
                self.sums_ms[key] = self.sums_ms.get(key, 0.0) + value

    def means_ms(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums_ms.items()}


class Stated:
    """Joules per inference that answers state themselves; they are provisional, and only some answers are read for them."""

    def __init__(self) -> None:
        self.count = 0
        self.total_joules = 0.0
        self.source: str | None = None

    def add(self, answer: Answer) -> None:
        parameters = answer_json(answer).get("parameters")
        if not isinstance(parameters, dict):
            return
        joules, source = parameters.get("energy_joules"), parameters.get("energy_source")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        self.source = source if isinstance(source, str) else self.source
        if isinstance(joules, (int, float)):
            self.count += 1
            self.total_joules += joules


class Tally:
    """Counts answers to requests that were due from `begin_s` on; those before are the warm-up.

    Throughput is what was answered between `begin_s` and `end_s`, whenever it was due.

    Latency is from when a request was due to the last byte of its answer. In an open loop that is not when it was sent:
    one that had to wait for a connection, because the server stalled, has waited all the same.
    """

    def __init__(self, begin_s: float, end_s: float, deadline_s: float | None = None) -> None:
        self.begin_s = begin_s
        self.end_s = end_s
        self.answered = 0
        self.warmup = 0
        self.latency = Histogram()
        self.refused = Histogram()
        self.errors: dict[str, int] = {}
        self.said: dict[str, str] = {}
        """What was wrong the first time, for each kind of error."""
        self.in_time = 0
        self.late = 0
        self.late_max_s = 0.0
        self.unsent = 0
        self.timings = Timings()
        self.stated = Stated()
        self._deadline_s = deadline_s

    @property
    def requests(self) -> int:
        """Answered, refused or failed."""
        return self.latency.count + sum(self.errors.values())

    def record(self, answer: Answer) -> None:
        if answer.kind == OK and self.begin_s <= answer.ended_s < self.end_s:
            self.answered += 1
        if answer.due_s < self.begin_s:
            self.warmup += 1
            return
        latency_s = answer.ended_s - answer.due_s
        if answer.sent_s - answer.due_s > LATE_S:
            self.late += 1
            self.late_max_s = max(self.late_max_s, answer.sent_s - answer.due_s)
        if answer.kind != OK:
            self._error(answer, latency_s)
            return
        self.latency.record(latency_s)
        if self._deadline_s is not None and latency_s <= self._deadline_s:
            self.in_time += 1
        if answer.timing:
            self.timings.add(answer.timing)
        if answer.body:
            self.stated.add(answer)

    def _error(self, answer: Answer, latency_s: float) -> None:
        kind = answer.kind if answer.kind in self.errors or len(self.errors) < KINDS_MAX else "other"
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if kind in REFUSED:
            self.refused.record(latency_s)
        if kind not in self.said:
            self.said[kind] = error_text(answer)
