"""A thread that computes for the event loop.

Leaner than an executor, whose futures are made twice, locked and copied: a hand-over costs an entry in a queue, and its
result one wake-up of the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Handed = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class ComputeThread:
    """Does what it is handed, in that order. It starts with the first work, and does not keep the process alive."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._handed: SimpleQueue[Handed | None] = SimpleQueue()
        self._started = False

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Hands work over; called on the event loop, which gets its result.

        Raises:
            RuntimeError: no thread can be started.
        """
        if not self._started:
            threading.Thread(target=_work_through, args=(self._handed,), name=self._name, daemon=True).start()
            self._started = True
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._handed.put((work, done))
        return done

    def close(self) -> None:
        """Ends the thread, once what it was handed is done."""
        self._handed.put(None)


def _work_through(handed: SimpleQueue[Handed | None]) -> None:
    while (entry := handed.get()) is not None:
        work, done = entry
        try:
            settle, outcome = _result, work()
        except BaseException as error:  # whoever waits has to hear of it
            settle, outcome = _exception, error
        try:
            done.get_loop().call_soon_threadsafe(settle, done, outcome)
        except RuntimeError:  # the loop is closed: nobody waits for anything any more
            return
        del entry, work, done, outcome  # not kept while waiting for more


def _result(done: asyncio.Future[Any], outcome: Any) -> None:
    if not done.done():
        done.set_result(outcome)


def _exception(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        if isinstance(error, StopIteration):  # which a future does not take
            error = RuntimeError(f"StopIteration: {error}")
        done.set_exception(error)
