"""Clients that keep a server busy."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from servers import Server

INFER = orjson.dumps({"inputs": [{"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": [1.0] * 16}]})
HEAD = b"POST /v2/models/tiny/infer HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
REQUEST = HEAD % len(INFER) + INFER


@pytest.fixture
def cli() -> Any:
    """This module."""
    return sys.modules[__name__]


def infer(server: Server, count: int = 1) -> None:
    for _ in range(count):  # a connection each, so that both workers get some
        httpx.post(f"{server.address}/v2/models/tiny/infer", content=INFER).raise_for_status()


@dataclass
class Tally:
    """What became of the requests of one client that asks again and again."""

    answered: int = 0
    unanswered: list[int] = field(default_factory=list)  # the client's port, for each request that got no answer
    statuses: set[int] = field(default_factory=set)


async def ask(port: int, tally: Tally, until: asyncio.Event, *, keep: bool = True, pause_s: float = 0.0) -> None:
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
                if pause_s:
                    await asyncio.sleep(pause_s)
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
