"""An open loop: requests are sent at a fixed rate, however the server does.

A request that finds no free connection opens one; where `CONNECTIONS_MAX` are busy, it is not sent. Its latency counts
from when it was due, so that a slow server cannot slow down its own measurement (coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import re
import resource
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import uvloop

CONNECTIONS_MAX = (
    1024  # fewer than wait to be accepted (2048), or the kernel would drop some, and than a server lets in
)
FILES = 2 * CONNECTIONS_MAX  # which the server, a child, is allowed as well
TICK_S = 0.001
RETRY_S = 0.05
STATUS_AT = len("HTTP/1.1 ")
EXPIRED = b"Request timeout expired"  # Triton's text, and so Joulebox's
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Overload:
    """Latencies of accepted requests count from when they were due, those of refusals from when they were sent.

    They are NaN where there were none. Expired requests are refusals too: late ones.
    """

    offered_per_s: float
    sent_per_s: float
    goodput_per_s: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    refused_per_s: float
    refused_p50_ms: float
    refused_p99_ms: float
    expired_per_s: float
    not_sent: int
    broken: int
    unanswered: int
    connections: int


@dataclass
class _Tally:
    due: int = 0
    sent: int = 0
    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    expired: int = 0
    not_sent: int = 0
    broken: int = 0
    connections: int = 0  # open at once, at most


def allow_connections() -> None:
    """Raises this process's own limit of open files, where it may, for itself and the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))


def overload(port: int, request: bytes, rate_per_s: float, seconds: float, deadline_s: float) -> Overload:
    """Sends `rate_per_s` for so many seconds, then waits for what is under way, at most the deadline and a second."""
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            tally = runner.run(_run(port, request, rate_per_s, seconds, deadline_s))
    finally:
        gc.unfreeze()
    answered = len(tally.accepted_s) + len(tally.refused_s) + tally.broken
    timely = sum(each <= deadline_s for each in tally.accepted_s)
    return Overload(
        rate_per_s,
        tally.sent / seconds,
        timely / seconds,
        _percentile_ms(tally.accepted_s, 50),
        _percentile_ms(tally.accepted_s, 99),
        len(tally.refused_s) / seconds,
        _percentile_ms(tally.refused_s, 50),
        _percentile_ms(tally.refused_s, 99),
        tally.expired / seconds,
        tally.not_sent,
        tally.broken,
        tally.due - answered - tally.not_sent,
        tally.connections,
    )


def _percentile_ms(values_s: Sequence[float], percent: float) -> float:
    return 1e3 * float(np.percentile(values_s, percent)) if values_s else float("nan")


class _Client:
    """Its connections, and requests that are due and wait for one that opens."""

    def __init__(self, port: int, request: bytes) -> None:
        self.tally = _Tally()
        self.free: list[_Connection] = []
        self._port = port
        self._request = request
        self._waiting: deque[float] = deque()
        self._opening: set[asyncio.Task[object]] = set()
        self._open: set[_Connection] = set()
        self._all_lost = asyncio.Event()

    def due(self, at_s: float) -> None:
        self.tally.due += 1
        if self.free:
            self._send(self.free.pop(), at_s)
        elif len(self._open) + len(self._opening) < CONNECTIONS_MAX:
            self._waiting.append(at_s)
            self._connect()
        else:
            self.tally.not_sent += 1

    def is_open(self, connection: _Connection) -> None:
        self._open.add(connection)
        self._all_lost.clear()
        self.tally.connections = max(self.tally.connections, len(self._open))
        self.is_free(connection)

    def is_free(self, connection: _Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self.free.append(connection)

    def is_lost(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._all_lost.set()
        if connection in self.free:
            self.free.remove(connection)

    async def close(self) -> None:
        """Ends all connections, and waits until they have ended."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self._open:
            connection.abort()
        if self._open:
            await self._all_lost.wait()

    def _send(self, connection: _Connection, due_s: float) -> None:
        self.tally.sent += 1
        connection.send(self._request, due_s)

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port))
        self._opening.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[object]) -> None:
        """Where it failed, the next request that is due tries again."""
        self._opening.discard(task)
        if not task.cancelled():
            task.exception()


class _Connection(asyncio.Protocol):
    def __init__(self, client: _Client) -> None:
        self._client = client
        self._received = b""
        self._due_s: float | None = None  # of the request under way
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._client.is_open(self)

    def abort(self) -> None:
        self._due_s = None
        self._transport.abort()

    def send(self, request: bytes, due_s: float) -> None:
        self._due_s = due_s
        self._sent_s = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end + 2)
        if len(self._received) < end + 4 + (int(length[1]) if length else 0):
            return
        reply, self._received = self._received, b""
        closes = CLOSES.search(reply, 0, end + 2)
        if self._due_s is not None:
            self._answered(self._due_s, reply)
        if closes:
            self._transport.close()
        else:
            self._client.is_free(self)

    def _answered(self, due_s: float, reply: bytes) -> None:
        now_s, tally = time.perf_counter(), self._client.tally
        if reply.startswith(b"2", STATUS_AT):
            tally.accepted_s.append(now_s - due_s)
        else:
            tally.refused_s.append(now_s - self._sent_s)
            tally.expired += EXPIRED in reply
        self._due_s = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if self._due_s is not None:
            self._client.tally.broken += 1
        self._client.is_lost(self)


async def _run(port: int, request: bytes, rate_per_s: float, seconds: float, deadline_s: float) -> _Tally:
    client = _Client(port, request)
    start_s = time.perf_counter()
    while (now_s := time.perf_counter() - start_s) < seconds:
        while client.tally.due < now_s * rate_per_s:
            client.due(start_s + client.tally.due / rate_per_s)
        await asyncio.sleep(TICK_S)
    await asyncio.sleep(deadline_s + 1)
    await client.close()
    return client.tally
