"""The list of shared memory regions that the workers of one server have in common.

A client registers a region once, on whichever worker takes its connection, and uses it on any. The list is a file; beside it
lies a counter, mapped by each worker, that says when to read the list again: a look costs a tenth of a microsecond, a `stat`
ten times that.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_COUNTER = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Entry:
    """A region, and which file its key named when it was registered."""

    name: str
    key: str
    offset: int
    byte_size: int
    device: int
    inode: int

    def described(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {"name": self.name, "key": self.key, "offset": self.offset, "byte_size": self.byte_size}


class RegionTable:
    """The list in `folder`, which belongs to one run of one server."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "regions.json"
        self._lock = os.open(folder / "regions.count", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._lock, _COUNTER.size)  # already so where another worker was first; it keeps what is there
        self._counter = mmap.mmap(self._lock, _COUNTER.size)
        self._seen = 0

    def changed(self) -> bool:
        """Whether another worker has changed the list since it was last read here."""
        return _COUNTER.unpack_from(self._counter)[0] != self._seen

    def read(self) -> dict[str, Entry]:
        with self._locked(fcntl.LOCK_SH):
            return self._read()

    @contextmanager
    def edit(self) -> Generator[dict[str, Entry]]:
        """The list, to change; written unless the block raises."""
        with self._locked(fcntl.LOCK_EX):
            entries = self._read()
            yield entries
            aside = self._file.with_suffix(".new")
            aside.write_text(json.dumps([asdict(entry) for entry in entries.values()]))
            aside.replace(self._file)
            self._seen += 1
            _COUNTER.pack_into(self._counter, 0, self._seen)

    def close(self) -> None:
        self._counter.close()
        os.close(self._lock)

    def _read(self) -> dict[str, Entry]:
        self._seen = _COUNTER.unpack_from(self._counter)[0]
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            text = "[]"
        rows: list[dict[str, Any]] = json.loads(text)
        return {row["name"]: Entry(**row) for row in rows}

    @contextmanager
    def _locked(self, kind: int) -> Generator[None]:
        fcntl.flock(self._lock, kind)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
