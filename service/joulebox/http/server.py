"""uvicorn's server with an end of our own: whatever was accepted is answered.

uvicorn's closes idle connections without a look at the request that may be on its way, resets what the kernel has queued,
and goes on keeping busy connections alive. Here, when asked to stop:

1. the kernel drops requests for new connections (their clients ask again a second later, and meet the next server or a
   refusal), while those that are queued, or half made, are still accepted;
2. every answer says `connection: close`, and for `LINGER_S` idle connections may still bring a request;
3. then the sockets and the idle connections are closed, and what is under way has until the drain timeout.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from types import FrameType
from typing import Any

import uvicorn

log = logging.getLogger("joulebox.http")

LINGER_S = 0.25
TICK_S = 0.02
CANCEL_S = 1.0  # for cancelled requests to come to an end

SO_ATTACH_FILTER = 26
ACCEPT_QUEUE_OFFSET = 24  # tcpi_unacked in tcp_info, which for a listening socket is the length of its queue
# Classic BPF over a TCP header (see socket(7), linux/filter.h): code, jump if true, jump if false, operand.
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # & (SYN | ACK)
    (0x15, 0, 1, 0x02),  # SYN alone asks for a new connection
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take all else
)


class Server(uvicorn.Server):
    """Raises SystemExit(1) after an end that left requests unanswered."""

    def __init__(self, config: uvicorn.Config, drain_timeout_s: float, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain_timeout_s = drain_timeout_s
        self._on_drain = on_drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's names
        """uvicorn would raise the signal again at the end, and the process would not end with status 0."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_drain()
        listening = sockets or []
        deadline_s = asyncio.get_running_loop().time() + self._drain_timeout_s
        for one in listening:
            _drop_new(one)
        self._announce()
        await self._linger(listening, deadline_s)
        for server in self.servers:
            server.close()
        for one in listening:
            one.close()
        for connection in self._connections():
            if not _busy(connection):
                connection.shutdown()
        await self._until(lambda: not self.server_state.connections and not self.server_state.tasks, deadline_s)
        unanswered = await self._abandon()
        await self.lifespan.shutdown()
        if unanswered:
            log.error(
                "%d requests were not answered within the drain timeout of %g s", unanswered, self._drain_timeout_s
            )
            raise SystemExit(1)

    def _announce(self) -> None:
        """Makes answers close their connection: those to come by a default header, those begun by their own flag."""
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in self._connections():
            if connection.cycle is not None and not connection.cycle.response_complete:
                connection.cycle.keep_alive = False

    async def _linger(self, listening: list[socket.socket], deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = min(deadline_s, loop.time() + LINGER_S)
        await self._until(lambda: loop.time() >= until_s and not any(map(_queued, listening)), deadline_s)

    async def _until(self, holds: Callable[[], bool], deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        while not holds() and not self.force_exit and loop.time() < deadline_s:  # noqa: ASYNC110  # which has no event
            await asyncio.sleep(TICK_S)

    async def _abandon(self) -> int:
        """Ends the requests and connections that are left. Gives how many requests."""
        unanswered = list(self.server_state.tasks)
        for task in unanswered:
            task.cancel()
        if unanswered:
            await asyncio.wait(unanswered, timeout=CANCEL_S)
        for connection in self._connections():
            connection.transport.close()
        return len(unanswered)

    def _connections(self) -> list[Any]:
        """uvicorn's HttpToolsProtocol; untyped here, since its attributes are None before the first request, which its types deny."""
        return list(self.server_state.connections)


def _busy(connection: Any) -> bool:
    """Whether a request is being read or answered."""
    if connection.scope is None:
        return False
    return (
        connection.cycle is None
        or connection.cycle.scope is not connection.scope
        or not connection.cycle.response_complete
    )


def _drop_new(listening: socket.socket) -> None:
    """Makes the kernel drop what asks for new connections; connections that exist go on."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in DROP_SYN)
    program = create_string_buffer(code, len(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(DROP_SYN), addressof(program)))
    except OSError as error:  # a kernel without it: what arrives between the last look and the closing is reset
        log.debug("no filter on the listening socket: %s", error)


def _queued(listening: socket.socket) -> int:
    """Connections that the kernel has made and nobody has accepted yet."""
    information = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACCEPT_QUEUE_OFFSET + 4)
    return struct.unpack_from("=I", information, ACCEPT_QUEUE_OFFSET)[0]
