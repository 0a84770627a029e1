"""One measurement at a time: builds and searches of a host take turns, as each would be in the other's figures."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from joulebox_build.errors import BuildError

LOCK = "joulebox-measuring.lock"  # in the folder for temporary files, which a host's users and caches share
WAIT_S = 600.0  # a measurement takes half a minute at most; one that was stopped must not stop all others
TRY_S = 0.2


@contextmanager
def alone() -> Generator[None]:
    """Waits for its turn, and says so; after `WAIT_S` it goes on beside the other one, and says that.

    Only measurements take turns: what else runs on the host, another trial's training too, is in the figures still.

    Raises:
        BuildError: the lock cannot be opened.
    """
    path = Path(tempfile.gettempdir()) / LOCK
    try:
        handle = _open(path)
    except OSError as error:
        raise BuildError(
            f"{path} cannot be opened ({error.strerror}), and measurements take turns by it; remove it, or set TMPDIR"
        ) from error
    try:
        _wait(handle, path)
        yield
    finally:
        os.close(handle)  # the lock goes with it, or with the process


def _open(path: Path) -> int:
    """Readable is enough to lock it; whoever comes first makes it, for all users."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        if os.fstat(handle).st_uid == os.getuid():
            os.fchmod(handle, 0o644)
        return handle


def _wait(handle: int, path: Path) -> None:
    if _taken(handle):
        return
    _say(f"another build or search on this host is measuring: this one waits for its turn, {WAIT_S / 60:g} min at most")
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        if _taken(handle):
            return
        time.sleep(TRY_S)
    _say(f"{path} is locked still: this one measures beside the other, whose work may be in the figures")


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)
