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
import time
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from joulebox.http.connection import Connection
from joulebox.http.front import Front
from joulebox.server.accept import Acceptor

log = logging.getLogger("joulebox.http")

LINGER_S = 0.25
TICK_S = 0.02

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

    def __init__(self, config: uvicorn.Config, app: Front, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_timeout_s = drain_timeout_s
        self._acceptors: list[Acceptor] = []
        self.settle_s = 0.0  # how long to wait, before listening, for the models to be ready
        self.on_listening: Callable[[], None] = lambda: None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's names
        """uvicorn would raise the signal again at the end, and the process would not end with status 0."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # the application, without a socket yet
        await self._until(lambda: self._app.settled or self.should_exit, time.monotonic() + self.settle_s)
        make = partial(Connection, self._app, self.server_state)
        settings = self._app.settings
        for one in sockets or []:
            one.listen(self.config.backlog)
            acceptor = Acceptor(
                one,
                make,
                self.config.ssl,
                handshake_timeout_s=settings.header_timeout_s,
                handshakes_max=settings.connections_max,
            )
            self._acceptors.append(acceptor)
        self.on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        deadline_s = time.monotonic() + self._drain_timeout_s
        for one in sockets or []:
            _drop_new(one)
        self._app.begin_drain()
        begun = self._connections()
        for connection in begun:
            connection.drain()  # those that are made meanwhile know it from the application
        await asyncio.sleep(min(LINGER_S, self._drain_timeout_s))
        await self._until(lambda: not any(map(_queued, sockets or [])), deadline_s)
        for acceptor in self._acceptors:
            acceptor.close()
        for one in sockets or []:
            one.close()
        await self._close(begun, deadline_s)
        unanswered = self._connections()
        for connection in unanswered:
            connection.abort()
        await self.lifespan.shutdown()
        if unanswered:
            limit = f"{self._drain_timeout_s:g} s"
            log.error("%d requests were not answered within the drain timeout of %s", len(unanswered), limit)
            raise SystemExit(1)

    async def _close(self, lingered: list[Connection], deadline_s: float) -> None:
        """Closes all connections as they fall idle. Some may be new, since TLS takes a while; those get their time too."""
        while self._connections() and not self.force_exit and time.monotonic() < deadline_s:
            for connection in lingered:
                connection.shutdown()
            lingered = self._connections()
            await self._until(lambda: not self._connections(), min(deadline_s, time.monotonic() + LINGER_S))

    async def _until(self, holds: Callable[[], bool], deadline_s: float) -> None:
        while not holds() and not self.force_exit and time.monotonic() < deadline_s:  # noqa: ASYNC110  # has no event
            await asyncio.sleep(TICK_S)

    def _connections(self) -> list[Connection]:
        return cast("list[Connection]", list(self.server_state.connections))


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
