"""A server that does what a test tells it, so that the truth about its answers is known."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from joulebox.bench.connection import Address

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Answer = Callable[[int], bytes | None]


class Stub:
    """Counts requests; `answer` gives the bytes for each by its number, None hangs up without an answer."""

    def __init__(self, answer: Answer = lambda _: OK) -> None:
        self.answer = answer
        self.requests = 0
        self.bodies: list[bytes] = []
        self.connections = 0
        self.stalled = (0.0, 0.0)
        """From when to when nothing is answered, on the clock of time.perf_counter."""

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Address]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        try:
            yield Address("127.0.0.1", server.sockets[0].getsockname()[1], tls=tls is not None)
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        self.bodies = [*self.bodies[-9:], await reader.readexactly(int(lengths[0].split(b":")[1]))]
        self.requests += 1
        number = self.requests
        begin_s, end_s = self.stalled
        if begin_s <= time.perf_counter() < end_s:
            await asyncio.sleep(end_s - time.perf_counter())
        content = self.answer(number)
        if content is not None:
            writer.write(content)
            await writer.drain()
        return content is not None


@pytest.fixture
def stub() -> Any:
    """The class, for tests that start one."""
    return Stub
