"""The work of all workers of a server, summed so that a worker that dies takes nothing back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from joulebox.energy import Key, Work
from joulebox.runtime import records
from joulebox.runtime.records import Totals, read_records


@dataclass
class _Seen:
    """How far one worker's record for one model was counted."""

    executions: int = 0
    items: int = 0
    busy_ns: int = 0


class SharedWork:
    """Busy time, items and CPU time so far. Memory is bounded by the models that are loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[tuple[str, Key], _Seen] = {}
        self._cpu_ns: dict[str, int] = {}
        self._work: dict[Key, Work] = {}
        self.cpu_s = 0.0

    def read(self, now_s: float) -> dict[Key, Work]:
        """Each loaded model's work, what is being computed included.

        Args:
            now_s: on the clock of `time.perf_counter`.
        """
        workers = read_records(self._folder)
        seen: dict[tuple[str, Key], _Seen] = {}
        for file, worker in workers.items():
            last_ns = self._cpu_ns.get(file, 0)
            self.cpu_s += (worker.cpu_ns - (last_ns if worker.cpu_ns >= last_ns else 0)) / 1e9
            self._cpu_ns[file] = worker.cpu_ns
            for key, totals in worker.models.items():
                seen[file, key] = self._count(key, self._seen.get((file, key), _Seen()), totals, now_s)
        self._seen = seen
        loaded = {key for _, key in seen}
        self._work = {key: work for key, work in self._work.items() if key in loaded}
        return dict(self._work)

    def _count(self, key: Key, last: _Seen, totals: Totals, now_s: float) -> _Seen:
        fields = totals.fields
        started_ns = fields[records.STARTED_NS]
        inflight_ns = max(0, int(now_s * 1e9) - started_ns) if started_ns else 0
        if fields[records.EXECUTIONS] < last.executions:  # a new worker of the same number began at zero
            last = _Seen()
        now = _Seen(fields[records.EXECUTIONS], fields[records.ITEMS], fields[records.BUSY_NS] + inflight_ns)
        work = self._work.get(key, Work(0.0, 0))
        busy_s = max(0, now.busy_ns - last.busy_ns) / 1e9
        self._work[key] = Work(work.busy_s + busy_s, work.items + now.items - last.items)
        return now
