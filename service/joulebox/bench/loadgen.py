"""MLCommons' load generator (`mlcommons-loadgen`): run over our connections, and its log read.

LoadGen decides what is asked when, takes the times and judges; what is here sends its samples and says when each is done.
It runs in a thread of its own, which is outside Python most of the time.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from joulebox.bench.connection import OK, Answer, Connection
from joulebox.bench.errors import BenchError, UsageError
from joulebox.bench.run import Session
from joulebox.bench.tally import Tally

Sample = tuple[int, int]  # LoadGen's id of an issued sample, and its index in the library


def load_loadgen() -> Any:
    """MLCommons' module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("mlperf_loadgen")
    except ImportError as error:
        raise UsageError(f"--scenario needs MLCommons' LoadGen ({error}): pip install 'joulebox[mlperf]'") from error


class Sut:
    """The system under test, as LoadGen calls it: takes queries from its thread, sends them from the event loop."""

    def __init__(
        self, loadgen: Any, session: Session, batch: int, connections: Sequence[Connection], tally: Tally
    ) -> None:
        self._loadgen = loadgen
        self._session = session
        self._batch = batch
        self._free = list(connections)
        self._waiting: deque[Sequence[Sample]] = deque()
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self.samples = 0

    async def run(self, settings: Any, logs: Path) -> None:
        """Until LoadGen is done. Where it is cancelled, LoadGen's thread stays behind: there is no way to end it."""
        ended: asyncio.Future[None] = self._loop.create_future()

        def test() -> None:
            self._test(settings, logs)
            self._loop.call_soon_threadsafe(ended.set_result, None)

        threading.Thread(target=test, name="loadgen", daemon=True).start()
        await ended

    def _test(self, settings: Any, logs: Path) -> None:
        loadgen, count = self._loadgen, len(self._session.tensors)
        output = loadgen.LogOutputSettings()
        output.outdir, output.copy_summary_to_stdout = str(logs), False
        log = loadgen.LogSettings()
        log.log_output, log.enable_trace = output, False
        sut = loadgen.ConstructSUT(self._issue, _nothing)
        library = loadgen.ConstructQSL(count, count, _nothing, _nothing)
        try:
            loadgen.StartTestWithLogSettings(sut, library, settings, log, str(logs / "audit.config"))
        finally:
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(sut)

    def _issue(self, query: Sequence[Any]) -> None:
        """In LoadGen's thread, which an exception would end together with the process."""
        samples = [(sample.id, sample.index) for sample in query]
        with suppress(RuntimeError):  # the loop is closed: we were interrupted, and the process is about to end
            self._loop.call_soon_threadsafe(self._take, samples)

    def _take(self, samples: Sequence[Sample]) -> None:
        self._waiting.extend(samples[begin : begin + self._batch] for begin in range(0, len(samples), self._batch))
        while self._free and self._waiting:
            self._send(self._free.pop(), self._waiting.popleft())

    def _send(self, connection: Connection, samples: Sequence[Sample]) -> None:
        def done(answer: Answer) -> None:
            self._tally.record(answer)
            self.samples += len(samples) if answer.kind == OK else 0
            if self._waiting:
                self._send(connection, self._waiting.popleft())
            else:
                self._free.append(connection)
            response = self._loadgen.QuerySampleResponse
            self._loadgen.QuerySamplesComplete([response(identifier, 0, 0) for identifier, _ in samples])

        connection.send(self._request([index for _, index in samples]), done)

    def _request(self, indices: Sequence[int]) -> bytes:
        if len(indices) == 1:
            return self._session.requests[indices[0]]
        tensors = [self._session.tensors[index] for index in indices]
        return self._session.build({name: np.concatenate([each[name] for each in tensors]) for name in tensors[0]})


def read_log(folder: Path) -> dict[str, Any]:
    """LoadGen's detailed log: the last value of each key.

    Raises:
        BenchError: LoadGen has written none.
    """
    try:
        lines = (folder / "mlperf_log_detail.txt").read_text("utf-8").splitlines()
    except OSError as error:
        raise BenchError(f"LoadGen left no log in {folder}: {error.strerror}") from error
    entries = [orjson.loads(line.removeprefix(":::MLLOG ")) for line in lines if line.startswith(":::MLLOG ")]
    return {entry["key"]: entry["value"] for entry in entries}


def percentiles_ms(log: dict[str, Any]) -> dict[str, float]:
    """LoadGen's, of queries: in MultiStream one has several samples."""
    of_query = "per_query_" if "result_99.00_percentile_per_query_latency_ns" in log else ""
    names = {"p50": "50.00", "p90": "90.00", "p99": "99.00", "p99.9": "99.90"}
    keys = {name: f"result_{number}_percentile_{of_query}latency_ns" for name, number in names.items()}
    return {name: log[key] / 1e6 for name, key in keys.items() if key in log}


def _nothing(*_: object) -> None:
    pass  # our samples are in memory always, and requests are never held back
