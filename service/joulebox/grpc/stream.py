"""Bidirectional streams: answers in the order of their requests, several computed at once, never without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from joulebox.grpc.callers import Caller
from joulebox.grpc.handlers import EOF
from joulebox.runtime.errors import NotReady

INFLIGHT_MAX = 32  # requests of one stream being answered; the client is not read from beyond that

Answer = Callable[[bytes, Caller], Coroutine[Any, Any, bytes]]
Tasks = asyncio.Queue["asyncio.Task[bytes] | None"]


class Streams:
    """The streams that are open."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Reads no more requests; what was read is answered."""
        for reader in self._readers:
            reader.cancel()

    async def serve(self, caller: Caller, answer: Answer) -> None:
        """Answers a stream until the client has no more requests. When it leaves, what it has asked for is dropped.

        Args:
            answer: gives a request's answer, errors included; it is cancelled where the client has gone.

        Raises:
            NotReady: the server stops.
        """
        tasks: Tasks = asyncio.Queue()
        slots = asyncio.Semaphore(INFLIGHT_MAX)
        reader = asyncio.create_task(_read(caller, answer, tasks, slots))
        self._readers.add(reader)
        try:
            while (task := await tasks.get()) is not None:
                await caller.context.write(await task)
                slots.release()
            await asyncio.wait([reader])
        finally:
            self._readers.discard(reader)
            reader.cancel()
            _cancel(tasks)
        if reader.cancelled():
            raise NotReady("the server is stopping; every request that it has read of this stream is answered")
        reader.result()


async def _read(caller: Caller, answer: Answer, tasks: Tasks, slots: asyncio.Semaphore) -> None:
    try:
        while True:
            await slots.acquire()
            raw = await caller.context.read()
            if raw is EOF:
                return
            tasks.put_nowait(asyncio.create_task(answer(raw, caller)))
    finally:
        tasks.put_nowait(None)


def _cancel(tasks: Tasks) -> None:
    while not tasks.empty():
        task = tasks.get_nowait()
        if task is not None:
            task.cancel()
