"""A running server as an operator has it: its process, its workers, and clients that keep it busy."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import orjson
import psutil
import pytest

COMMAND = [sys.executable, "-m", "joulebox.cli.main", "serve"]
INFER = orjson.dumps({"inputs": [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": [1.0] * 16}]})
HEAD = b"POST /v2/models/tiny/infer HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
REQUEST = HEAD % len(INFER) + INFER


@pytest.fixture
def cli() -> Any:
    """This module."""
    return sys.modules[__name__]


@dataclass
class Running:
    process: psutil.Popen
    port: int
    log: IO[bytes]
    verify: ssl.SSLContext | None = None
    """What its clients trust, where it speaks TLS."""

    @property
    def address(self) -> str:
        return f"{'https' if self.verify else 'http'}://127.0.0.1:{self.port}"

    def workers(self) -> dict[int, psutil.Process]:
        """The live ones by number."""
        found = {}
        for child in self.process.children():
            with suppress(psutil.NoSuchProcess, ValueError):
                command = child.cmdline()
                found[int(command[command.index("--worker-id") + 1])] = child
        return found

    def environment(self, name: str) -> Path:
        """A folder that the workers were given."""
        return Path(self.workers()[1].environ()[name])

    def infer(self, count: int = 1) -> None:
        for _ in range(count):  # a connection each, so that both workers get some
            httpx.post(f"{self.address}/v2/models/tiny/infer", content=INFER).raise_for_status()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def said(self) -> str:
        """What it has written."""
        return os.pread(self.log.fileno(), 2**20, 0).decode()

    def stop(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def running(
    tiny: Any,
    *arguments: object,
    wrapper: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    ready: bool = True,
    verify: ssl.SSLContext | None = None,
    folder: Path | None = None,
) -> Iterator[Running]:
    """`joulebox serve` with these arguments, ready on every worker's socket; killed at the end, where it still runs."""
    port = tiny.free_port()
    command = [*(wrapper or COMMAND), *map(str, arguments), "--port", str(port)]
    log = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    process = psutil.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **(environment or {})})
    server = Running(process, port, log, verify)
    try:
        if ready:
            tiny.wait_until(lambda: all(_ready(server) for _ in range(10)), 60)
        yield server
    finally:
        with suppress(psutil.NoSuchProcess):
            server.process.kill()
        server.process.wait()
        print(server.said())
        log.close()


def _ready(server: Running) -> bool:
    return httpx.get(f"{server.address}/readyz", timeout=20, verify=server.verify or True).status_code == 200


@dataclass
class Tally:
    """What became of the requests of one client that asks again and again."""

    answered: int = 0
    unanswered: list[int] = field(default_factory=list)  # the client's port, for each request that got no answer
    statuses: set[int] = field(default_factory=set)


async def ask(port: int, tally: Tally, until: asyncio.Event, *, keep: bool = True) -> None:
    """Sends requests until told, or until nobody accepts connections any more; over kept-alive connections or one each."""
    while not until.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        own = writer.get_extra_info("sockname")[1]
        try:
            while not until.is_set():
                writer.write(REQUEST)
                status, closing = await _answer(reader)
                tally.answered += 1
                tally.statuses.add(status)
                if closing or not keep:
                    break
        except (OSError, asyncio.IncompleteReadError):
            tally.unanswered.append(own)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), b"connection: close" in head
