"""What is learnt on a host, kept between runs: small JSON files under `$JOULEBOX_STATE`, by the host's fingerprint.

A file is written aside, synced and renamed, under a lock on its folder: a reader sees the old one or the new one, and what a
killed writer left goes with the next.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from joulebox.host.fingerprint import Host, describe_host

log = logging.getLogger("joulebox.host")

SETTING = "JOULEBOX_STATE"
HOSTS_MAX = (
    32  # that one folder keeps, as where it is mounted from elsewhere: those that nothing was learnt on for longest go
)
SIZE_MAX = 2**20  # bytes of a file; ours have some thousands
MAKING = ".making-"

M = TypeVar("M", bound=BaseModel)


class StateError(Exception):
    """What was learnt cannot be kept; the message is one clear line."""

    exit_code = 1


@dataclass(frozen=True)
class State:
    """What is kept of one host."""

    host: Host
    folder: Path
    """It need not be there."""

    def read(self, name: str, model: type[M]) -> M | None:
        """A file's content; None where there is none. One that is not what it should be is reported, and as good as none."""
        path = self.folder / name
        try:
            with path.open("rb") as file:
                content = file.read(SIZE_MAX + 1)
            if len(content) > SIZE_MAX:
                raise ValueError(f"it has more than {SIZE_MAX} bytes")
            return model.model_validate_json(content)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read, so it is left out: %s", path, error.strerror)
        except ValueError as error:
            log.warning("%s is damaged, so it is left out: %s", path, _said(error))
        return None

    def change(self, name: str, model: type[M], changed: Callable[[M | None], M], *, newest: int | None = None) -> Path:
        """Replaces a file by what `changed` makes of it, and gives its path.

        Args:
            newest: so many files are kept of the folder that it lies in; all of them without it.

        Raises:
            StateError: it cannot be written; what was there is there still.
        """
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)
            _keep_newest(self.folder.parent, HOSTS_MAX)
            with _only_writer(path.parent):
                _replace(path, changed(self.read(name, model)).model_dump_json(indent=1).encode() + b"\n")
                if newest is not None:
                    _keep_newest(path.parent, newest)
        except OSError as error:
            raise StateError(
                f"{path} cannot be written ({error.strerror}), so nothing was kept;"
                f" set {SETTING} to a folder that can be written"
            ) from error
        return path


def open_state(environment: Mapping[str, str]) -> State:
    """This host's state, below `JOULEBOX_STATE`, else the user's folder for state (XDG). It touches nothing.

    Raises:
        StateError: the user has no home.
    """
    host = describe_host(environment)
    return State(host, _root(environment) / "hosts" / host.fingerprint)


def _root(environment: Mapping[str, str]) -> Path:
    if environment.get(SETTING):
        return Path(environment[SETTING]).absolute()
    users = Path(environment.get("XDG_STATE_HOME") or "")
    if users.is_absolute():  # others have to be ignored, says the specification
        return users / "joulebox"
    try:
        return Path.home() / ".local/state/joulebox"
    except RuntimeError as error:
        raise StateError(f"this user has no home, so nothing is kept; set {SETTING} to a folder") from error


@contextmanager
def _only_writer(folder: Path) -> Generator[None]:
    """Holds the lock on a folder (the kernel drops it with the process), and clears what others left."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{MAKING}*"):
            leftover.unlink()
        yield
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{MAKING}{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep_newest(folder: Path, count: int) -> None:
    entries: list[tuple[int, Path]] = []
    for entry in folder.glob("[!.]*"):
        with suppress(FileNotFoundError):  # another writer was quicker
            entries.append((entry.stat().st_mtime_ns, entry))
    for _, entry in sorted(entries, reverse=True)[count:]:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _said(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    return ": ".join([*(str(part) for part in problem["loc"]), problem["msg"]])
