"""All connections of a worker: how many there may be, how many bytes they may hold, and the sweep that ends the slow."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from joulebox.http.exchange import Targets
from joulebox.runtime.errors import Overloaded
from joulebox.runtime.settings import Settings

SWEEP_S = 0.5
ALONE_AFTER_S = 1.0


class Timed(Protocol):
    """What the sweep looks at."""

    def check_time(self, now_s: float) -> None:
        """Ends the connection where it has waited for its client for too long; `now_s` is of `time.monotonic`."""
        ...


class Connections:
    """One sweep for all is cheaper than a timer for each request."""

    def __init__(self, settings: Settings) -> None:
        self.targets = Targets()
        self._settings = settings
        self._open: set[Timed] = set()
        self._bytes = 0
        self._sweeping = False
        self._written: list[tuple[Any, bytes]] = []
        self._asked_last: Timed | None = None
        self._asked_since_s = 0.0

    def write(self, transport: Any, content: bytes) -> None:
        """Sends when all that has come in by now is answered: who waits is then woken once, not for each answer."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self.flush)
        self._written.append((transport, content))

    def flush(self) -> None:
        """Sends what is still to be sent."""
        written, self._written = self._written, []
        for transport, content in written:
            if not transport.is_closing():
                transport.write(content)

    def add(self, connection: Timed) -> None:
        """Takes one in.

        Raises:
            Overloaded: there is no room for it.
        """
        if len(self._open) >= self._settings.connections_max:
            raise Overloaded(f"{self._settings.connections_max} connections are open, which is the limit")
        self._open.add(connection)
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def discard(self, connection: Timed) -> None:
        self._open.discard(connection)
        if connection is self._asked_last:
            self._asked_last = None

    def alone(self, connection: Timed) -> bool:
        """Whether nobody but this one, which asks for an inference, has asked for one for a while.

        Then nobody waits for the event loop while it computes. Never where gRPC's clients might.
        """
        now_s = time.monotonic()
        if connection is not self._asked_last:
            self._asked_last, self._asked_since_s = connection, now_s
        return now_s - self._asked_since_s > ALONE_AFTER_S and not self._settings.grpc_port

    def hold(self, size: int) -> None:
        """Counts bytes of a request that came in.

        Raises:
            Overloaded: the server holds too many; these are counted all the same.
        """
        self._bytes += size
        if self._bytes > self._settings.inflight_bytes_max:
            raise Overloaded(
                f"the requests under way hold more than {self._settings.inflight_bytes_max} bytes, which is the limit"
            )

    def release(self, size: int) -> None:
        """The same, once they are let go."""
        self._bytes -= size

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for connection in list(self._open):
            connection.check_time(now_s)
        self._sweeping = bool(self._open)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
