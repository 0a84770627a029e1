"""Signals as something to wait for.

Blocking them and taking them with `sigtimedwait` would be shorter, but libraries start threads when they are imported (OpenBLAS
does), in which they are not blocked: a signal that comes while nobody waits would end the process there and then.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from types import FrameType
from typing import Any, final


@final
class Signals:
    """While it is entered, these signals do nothing but wake whoever waits. In the main thread."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = frozenset(numbers)
        self._before: dict[signal.Signals, Any] = {}
        self._waked, self._waker = socket.socketpair()
        self._waked.setblocking(False)
        self._waker.setblocking(False)

    def __enter__(self) -> Signals:
        self._fd_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _nothing) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._waked.close()
        self._waker.close()

    def wait(self, seconds: float) -> int | None:
        """The next signal's number, of each that came since the last call; None where none comes in that time."""
        ready, _, _ = select.select([self._waked], [], [], seconds)
        return self._waked.recv(1)[0] if ready else None

    @contextmanager
    def held(self) -> Generator[None]:
        """While a process is forked, so that none reaches its child in between."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def give_up(self) -> None:
        """In a child that was forked while they were held: from here on they do to it what they do to any process."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The wake-up is all there is to it."""
