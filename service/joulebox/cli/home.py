"""The folder of a running server, in which its workers meet. It goes when the server ends, however it ends.

It lies in memory where the host has `/dev/shm` with room in it, unless `TMPDIR` says otherwise: figures are written there
several times a second, which wears flash out. Not for a person's account, whose files there systemd-logind removes at its last
logout (`RemoveIPC`). What a server that was killed has left, the next one removes; whether a server lives is told by a lock on
its folder, which its workers hold too, and which the kernel drops with the last of them, in whatever container they run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # folders in it are made for this user alone
PREFIX, MAKING = "joulebox-server-", ".joulebox-making-"
LOCK = "lock"
SYSTEM_UID_MAX = 999  # accounts of people come after it
ROOM_BYTES, WORKER_BYTES = 8 * 2**20, 4 * 2**20  # several times what a server of many models and its workers take


@dataclass(frozen=True)
class Home:
    """The folder, and the descriptor of its lock."""

    folder: Path
    lock: int


@contextmanager
def server_home(workers: int) -> Generator[Home]:
    """A new folder, removed at the end.

    Raises:
        OSError: it cannot be made.
    """
    place = MEMORY if "TMPDIR" not in os.environ and _suits(workers) else Path(tempfile.gettempdir())
    _sweep(place)
    making = Path(tempfile.mkdtemp(prefix=MAKING, dir=place))
    handle = os.open(making / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    home = making
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        home = making.rename(place / (PREFIX + making.name.removeprefix(MAKING)))
        yield Home(home, handle)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        os.close(handle)


def _suits(workers: int) -> bool:
    """Whether memory can be used: what is mapped there and has no room ends a process."""
    if os.getuid() > SYSTEM_UID_MAX or not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= ROOM_BYTES + workers * WORKER_BYTES


def _sweep(place: Path) -> None:
    """Removes the folders of this user's servers that have ended."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.getuid():
                continue
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # it is being removed, or is none of ours
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # it lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
