"""New connections, taken in as they come.

uvloop's own server accepts one a turn of the event loop. A turn that answers hundreds of requests takes a while, and clients
that come just then would wait for seconds while others are answered thousands of times.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

ACCEPT_MAX = 64  # a turn
PAUSE_S = 0.1  # before the next try, where the system has no room for one more
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = logging.getLogger("joulebox.http")


class Acceptor:
    """Accepts from one listening socket, from when it is made until it is closed. On the event loop."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        *,
        handshake_timeout_s: float,
        handshakes_max: int,
    ) -> None:
        """An acceptor.

        Args:
            make: makes a connection's protocol.
            handshakes_max: clients that may be under way to become a connection; more wait in the kernel.
        """
        self._listening, self._make, self._tls = listening, make, tls
        self._handshake_timeout_s = handshake_timeout_s if tls else None
        self._handshakes_max = handshakes_max
        self._handshakes: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._begin()

    def close(self) -> None:
        """Accepts no more. What is under way goes on."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._listening)

    def _begin(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPT_MAX):
            if len(self._handshakes) >= self._handshakes_max:
                self._pause()
                return
            try:
                client, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                log.warning("no connection can be accepted just now: %s", error)
                self._pause()
                return
            connecting = self._loop.connect_accepted_socket(
                self._make, client, ssl=self._tls, ssl_handshake_timeout=self._handshake_timeout_s
            )
            task = self._loop.create_task(connecting)
            self._handshakes.add(task)
            task.add_done_callback(self._settle)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listening)
        self._resume = self._loop.call_later(PAUSE_S, self._begin)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._handshakes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("a client was not connected: %s", error)  # what it sent was no handshake, or not ours
