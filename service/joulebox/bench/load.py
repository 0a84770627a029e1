"""Sends requests: in a closed loop, where each connection waits for its answer, or in an open one, at moments set before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, takewhile

from joulebox.bench.arrivals import Alarm
from joulebox.bench.connection import LOST, Answer, Connection
from joulebox.bench.tally import Tally

BACKOFF_S = 0.1  # of a connection that was lost, in a closed loop: a dead server is not asked a hundred thousand times
KEPT_EACH = 16  # one answer in so many is read, for the joules that it states


class Closed:
    """Each connection sends its next request when it has its last answer, until the tally's end."""

    def __init__(self, connections: Sequence[Connection], requests: Sequence[bytes], tally: Tally) -> None:
        self._connections = connections
        self._requests = cycle(requests)
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        self._open = len(connections)
        self._sent = 0

    async def run(self) -> None:
        """Ends when the last answer is there. Where it is cancelled, requests in flight are not counted."""
        for connection in self._connections:
            self._send(connection)
        await self._finished.wait()

    def _send(self, connection: Connection) -> None:
        self._sent += 1

        def done(answer: Answer) -> None:
            self._tally.record(answer)
            if answer.ended_s >= self._tally.end_s:
                self._open -= 1
                if not self._open:
                    self._finished.set()
            elif answer.kind == LOST:
                self._loop.call_later(BACKOFF_S, self._send, connection)
            else:
                self._send(connection)

        connection.send(next(self._requests), done, keep=self._sent % KEPT_EACH == 0)


class Open:
    """Sends at the arrivals' moments until the tally's end, over the connection that was used last of those that are free.

    Where all are in use, the request waits for one: it is late, and its latency counts from when it was due.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        requests: Sequence[bytes],
        tally: Tally,
        arrivals: Iterator[float],
    ) -> None:
        self._free = list(connections)
        self._inflight = 0
        self._requests = cycle(requests)
        self._tally = tally
        self._arrivals = arrivals
        self._due_s = next(arrivals)
        self._finished = asyncio.Event()
        self._sent = 0

    async def run(self) -> None:
        """Ends when the last answer is there. Where it is cancelled, requests in flight are not counted."""
        self._alarm = Alarm(self._pump)
        closing = asyncio.get_running_loop().call_later(self._tally.end_s - time.perf_counter() + 0.001, self._pump)
        try:
            self._pump()
            await self._finished.wait()
        finally:
            closing.cancel()
            self._alarm.close()

    def _pump(self) -> None:
        """Sends what is due, as long as connections are free."""
        now_s, end_s = time.perf_counter(), self._tally.end_s
        while self._due_s < self._tally.begin_s <= now_s:
            self._due_s = next(self._arrivals)  # the warm-up is over; what it left unsent would delay what counts
        while self._free and self._due_s <= now_s and self._due_s < end_s:
            self._send(self._free.pop())
            self._due_s = next(self._arrivals)
        if now_s >= end_s:
            self._close()
        elif self._free:
            self._alarm.set(self._due_s)

    def _send(self, connection: Connection) -> None:
        self._inflight += 1
        self._sent += 1

        def done(answer: Answer) -> None:
            self._tally.record(answer)
            self._inflight -= 1
            self._free.append(connection)
            self._pump()

        connection.send(next(self._requests), done, due_s=self._due_s, keep=self._sent % KEPT_EACH == 0)

    def _close(self) -> None:
        """After the end: what was due and never sent is counted, once, and the answers under way are awaited."""
        if self._due_s < self._tally.end_s:
            waiting = takewhile(lambda due_s: due_s < self._tally.end_s, self._arrivals)
            self._tally.unsent += (self._due_s >= self._tally.begin_s) + sum(
                1 for due_s in waiting if due_s >= self._tally.begin_s
            )
            self._due_s = self._tally.end_s
        if not self._inflight:
            self._finished.set()
