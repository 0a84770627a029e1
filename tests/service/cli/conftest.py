"""Clients that keep a server busy, commands that run in this process, and a host for them that is laid on disk."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from joulebox.cli.main import main
from joulebox.package import Package, write_package
from laid import LaidHost
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


@dataclass
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs `joulebox` in this process, so that the counter of a laid host tells what it computes."""

    def run(*arguments: object, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["joulebox", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def laid(tmp_path: Path) -> Iterator[LaidHost]:
    with LaidHost(tmp_path / "host").running() as host:
        yield host


@pytest.fixture
def estimated(tmp_path: Path) -> dict[str, str]:
    """A host without counters."""
    return {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_ENERGY_OFF": "nvml,pi", "JOULEBOX_CPU_WATTS": "2:10"}


@pytest.fixture
def twofold(tmp_path: Path, tiny: Any) -> Package:
    """A package whose better variant does not reproduce the goldens."""
    variants = [
        tiny.variant("cpu-int8", "int8", "variants/cpu-int8.onnx"),
        tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"),
    ]
    files = {**tiny.files(), "variants/cpu-int8.onnx": (tiny.HERE / "wrong.onnx").read_bytes()}
    return write_package(tmp_path / "twofold", tiny.fields(variants=variants), files, {})
