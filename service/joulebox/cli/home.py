"""The folder of a running server, in which its workers meet. It goes when the server ends, however it ends.

It lies in memory where the host has `/dev/shm`, unless `TMPDIR` says otherwise: figures are written there several times a
second, which wears flash out. What a server that was killed has left, the next one removes; whether a server lives is
told by a lock on its folder, which the kernel drops with it, in whatever container it runs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # folders in it are made for this user alone
PREFIX, MAKING = "joulebox-server-", ".joulebox-making-"
LOCK = "lock"


@contextmanager
def server_home() -> Generator[Path]:
    """A new folder, removed at the end.

    Raises:
        OSError: it cannot be made.
    """
    place = (
        MEMORY if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    )
    _sweep(place)
    making = Path(tempfile.mkdtemp(prefix=MAKING, dir=place))
    handle = os.open(making / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    home = making
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        home = making.rename(place / (PREFIX + making.name.removeprefix(MAKING)))
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
        os.close(handle)


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
