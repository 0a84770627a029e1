"""The work of all workers of a server, summed so that a worker that dies takes nothing back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from joulebox.energy import Key, Work
from joulebox.runtime import records
from joulebox.runtime.fleet import lives
from joulebox.runtime.records import Totals, read_records


@dataclass
class _Seen:
    """How far one record was counted."""

    items: int = 0
    busy_ns: int = 0


class SharedWork:
    """Busy time, items and CPU time so far. Memory is bounded by the models that are loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[tuple[str, Key, int], _Seen] = {}
        self._cpu_ns: dict[str, int] = {}
        self._work: dict[Key, Work] = {}
        self.cpu_s = 0.0

    def read(self, now_s: float) -> dict[Key, Work]:
        """Each loaded model's work, what is being computed included.

        Args:
            now_s: on the clock of `time.perf_counter`.
        """
        seen: dict[tuple[str, Key, int], _Seen] = {}
        for worker in read_records(self._folder):
            last_ns = self._cpu_ns.get(worker.file, 0)
            self.cpu_s += (worker.cpu_ns - (last_ns if worker.cpu_ns >= last_ns else 0)) / 1e9
            self._cpu_ns[worker.file] = worker.cpu_ns
            until_s = now_s if lives(worker.pid) else 0.0  # a worker that was killed computes nothing any more
            for key, totals in worker.records:
                record = (worker.file, key, totals.fields[records.OPENED_NS])
                seen[record] = self._count(key, self._seen.get(record, _Seen()), totals, until_s)
        self._seen = seen
        loaded = {key for _, key, _ in seen}
        self._work = {key: work for key, work in self._work.items() if key in loaded}
        return dict(self._work)

    def _count(self, key: Key, last: _Seen, totals: Totals, until_s: float) -> _Seen:
        fields = totals.fields
        started_ns = fields[records.STARTED_NS]
        inflight_ns = max(0, int(until_s * 1e9) - started_ns) if started_ns else 0
        # Never back: a batch may turn out a little shorter than it seemed while it was computed.
        busy_ns = max(last.busy_ns, fields[records.BUSY_NS] + inflight_ns)
        work = self._work.get(key, Work(0.0, 0))
        items = fields[records.ITEMS]
        self._work[key] = Work(work.busy_s + (busy_ns - last.busy_ns) / 1e9, work.items + items - last.items)
        return _Seen(items, busy_ns)
