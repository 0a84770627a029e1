"""What is noted of a model's work: its metrics, and its record that the workers share. Cheap per request, flushed in a tick."""

from __future__ import annotations

import time

from joulebox.metrics import Buffered, Metrics
from joulebox.runtime import records
from joulebox.runtime.records import Record

OK = 200


class Observed:
    """One loaded model's children of the metrics, looked up once, and its record."""

    def __init__(self, metrics: Metrics, record: Record, name: str, version: str) -> None:
        self.record = record
        self._metrics, self._name, self._version = metrics, name, version
        self._depth = metrics.queue_depth.labels(name)
        self._inflight = metrics.inflight.labels(name)
        self._queue = Buffered(metrics.queue_duration.labels(name))
        self._batch = Buffered(metrics.batch_size.labels(name))
        self._requests: dict[tuple[str, int], Buffered] = {}
        self._decode_s = self._encode_s = self._queue_s = 0.0
        self._items = 0

    def bind(self, engine: str) -> None:
        """Says which engine computes, once it is known."""
        self._compute = Buffered(self._metrics.compute_duration.labels(self._name, engine))
        self._inferences = self._metrics.inferences.labels(self._name, self._version, engine)

    def began(self, started_s: float) -> None:
        self.record.numbers[records.STARTED_NS] = int(started_s * 1e9)

    def ended(self, started_s: float, ended_s: float, items: int, waited_s: list[float]) -> None:
        """A batch was computed, and its requests had waited so long."""
        self.record.numbers[records.STARTED_NS] = 0
        self.record.executed(items, int((ended_s - started_s) * 1e9))
        self._compute.observe(ended_s - started_s)
        self._batch.observe(items)
        self._items += items
        for each in waited_s:
            self._queue.observe(each)
            self._queue_s += each

    def request(self, protocol: str, code: int, seconds: float) -> None:
        """A request was answered."""
        requests = self._requests.get((protocol, code))
        if requests is None:
            labels = (self._name, self._version, protocol, str(code))
            requests = self._requests[protocol, code] = Buffered(self._metrics.request_duration.labels(*labels))
        requests.observe(seconds)

    def coded(self, decode_s: float, encode_s: float) -> None:
        """A request took so long to be read and its answer to be written."""
        self._decode_s += decode_s
        self._encode_s += encode_s

    def flush(self, depth: int, inflight: int) -> None:
        """Brings metrics and record up to date."""
        self._depth.set(depth)
        self._inflight.set(inflight)
        self._compute.flush()
        self._batch.flush()
        self._queue.flush()
        numbers = self.record.numbers
        for (_, code), requests in self._requests.items():
            count, seconds = requests.flush()
            at = records.SUCCESS if code == OK else records.FAILURE
            numbers[at] += count
            numbers[at + 1] += int(seconds * 1e9)
        if self._items:
            self._inferences.inc(self._items)
            numbers[records.LAST_MS] = time.time_ns() // 1_000_000
        for at, seconds in (
            (records.QUEUE_NS, self._queue_s),
            (records.DECODE_NS, self._decode_s),
            (records.ENCODE_NS, self._encode_s),
        ):
            numbers[at] += int(seconds * 1e9)
        self._items, self._queue_s, self._decode_s, self._encode_s = 0, 0.0, 0.0, 0.0
