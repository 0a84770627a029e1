"""System shared memory: tensors that a client on this board hands over, and is handed, without a copy through a socket.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_shared_memory.md; the texts of errors
that its clients read are those of Triton's `shared_memory_manager.cc`.

A region is a part of a POSIX shared memory object, which Linux keeps as a file in `/dev/shm`. Its owner can cut that file
whenever it likes, and touching memory beyond a file's end kills a process (SIGBUS). So
- each read compares the file's size first, and a file with holes, which might not be filled when `/dev/shm` is full, is
  copied by `pread`, which fails instead of killing;
- results are written by `pwrite`, which never kills.
What remains is an owner that cuts the file while its own tensor is being computed: the worker dies and is replaced. Shared
memory is for clients that are trusted with this, and off by default.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulebox.runtime.errors import BadRequest, NotFound, Unsupported
from joulebox.runtime.region_table import Entry, RegionTable

FOLDER = "/dev/shm"  # noqa: S108  # where Linux keeps POSIX shared memory; never written to by name
REGIONS_MAX = 256
BYTES_MAX = 16 * 2**30
NAME_MAX = 256
KEY_BYTES_MAX = 255


class AlreadyExists(BadRequest):
    """A region of that name is registered."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor lies: `byte_size` bytes from `offset` of a registered region."""

    region: str
    offset: int
    byte_size: int


class Regions:
    """The registered regions. With a folder where workers meet, those of all workers of this server."""

    def __init__(self, enabled: bool, folder: Path | None = None) -> None:
        self.enabled = enabled
        self._entries: dict[str, Entry] = {}
        self._mapped: dict[str, _Mapped] = {}
        self._table = RegionTable(folder) if enabled and folder else None

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Makes `byte_size` bytes from `offset` of the shared memory object `key` known as `name`.

        Raises:
            AlreadyExists: the name is taken, even with the same arguments, as in Triton.
            BadRequest: the key is no shared memory object that this server may open, or is too small; a limit is reached.
            Unsupported: shared memory is off.
        """
        with self._edit() as entries:
            _check_request(name, offset, byte_size)
            if name in entries:
                raise AlreadyExists(f"shared memory region '{name}' already in manager")
            used = sum(entry.byte_size for entry in entries.values())
            if len(entries) >= REGIONS_MAX or used + byte_size > BYTES_MAX:
                raise BadRequest(
                    f"failed to register shared memory region '{name}': there are {len(entries)} regions of {used} bytes;"
                    f" at most {REGIONS_MAX} regions of {BYTES_MAX} bytes in all are kept: unregister one"
                )
            mapped = _Mapped.open(name, key, offset, byte_size)
            entries[name], self._mapped[name] = mapped.entry, mapped

    def unregister(self, name: str | None = None) -> None:
        """Forgets a region, or all; an unknown one is none of a client's worries, as in Triton.

        What is being computed from the region keeps its memory until it is done.

        Raises:
            Unsupported: shared memory is off.
        """
        with self._edit() as entries:
            for gone in [name] if name else list(entries):
                entries.pop(gone, None)
                mapped = self._mapped.pop(gone, None)
                if mapped is not None:
                    mapped.close()

    def status(self, name: str | None = None) -> list[dict[str, Any]]:
        """The region, or all: name, key, offset and byte_size of each.

        Raises:
            NotFound: there is no region of that name.
            Unsupported: shared memory is off.
        """
        self._refresh()
        if name and name not in self._entries:
            raise NotFound(f"Unable to find system shared memory region: '{name[:NAME_MAX]}'")
        return [entry.described() for entry in ([self._entries[name]] if name else self._entries.values())]

    def check(self, name: str, offset: int, byte_size: int) -> None:
        """Whether the slot lies in its region; for outputs, before anything is computed for them.

        Raises:
            NotFound: there is no region of that name.
            BadRequest: it does not.
            Unsupported: shared memory is off.
        """
        self._region(name).start(offset, byte_size)

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:
        """Bytes of a region, read-only and without a copy (with one where the file has holes).

        The client can change them at any time: whoever checks something of them (lengths, indices) has to copy first.

        Raises:
            NotFound, BadRequest, Unsupported: see `check`.
        """
        return self._region(name).read(offset, byte_size)

    def write(
        self, name: str, offset: int, byte_size: int, content: bytes | memoryview, *, output: str | None = None
    ) -> None:
        """Puts a tensor where a client wants it; `byte_size` is the room there, `output` the tensor's name.

        Raises:
            BadRequest: the tensor is larger; nothing is written.
            NotFound, BadRequest, Unsupported: see `check`.
        """
        region = self._region(name)
        start = region.start(offset, byte_size)
        view = memoryview(content)
        if view.nbytes > byte_size:
            raise BadRequest(
                f"shared memory size specified with the request for output '{output or name}' ({byte_size} bytes)"
                f" should be at least {view.nbytes} bytes to hold the results"
            )
        if view.nbytes:
            region.write(start, view.cast("B"))

    def close(self) -> None:
        """Gives this process's mappings and file handles back; regions stay registered for the other workers."""
        for mapped in self._mapped.values():
            mapped.close()
        self._mapped.clear()
        if self._table is not None:
            self._table.close()

    def _region(self, name: str) -> _Mapped:
        self._refresh()
        mapped = self._mapped.get(name)
        if mapped is not None:
            return mapped
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound(f"Unable to find shared memory region: '{name[:NAME_MAX]}'")
        self._mapped[name] = mapped = _Mapped.reopen(entry)  # another worker has registered it
        return mapped

    def _refresh(self) -> None:
        if not self.enabled:
            raise Unsupported(
                "Shared memory feature is currently not supported: this server runs without --shared-memory"
            )
        if self._table is not None and self._table.changed():
            self._adopt(self._table.read())

    @contextmanager
    def _edit(self) -> Generator[dict[str, Entry]]:
        self._refresh()
        if self._table is None:
            yield self._entries
            return
        with self._table.edit() as entries:
            self._adopt(dict(entries))
            yield entries
        self._entries = entries

    def _adopt(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        for name in [name for name, mapped in self._mapped.items() if entries.get(name) != mapped.entry]:
            self._mapped.pop(name).close()


class _Mapped:
    """A region in this process's memory."""

    def __init__(self, entry: Entry, descriptor: int) -> None:
        self.entry = entry
        self._descriptor = descriptor
        self._skip = entry.offset % mmap.ALLOCATIONGRANULARITY
        self._memory = mmap.mmap(
            descriptor, self._skip + entry.byte_size, prot=mmap.PROT_READ, offset=entry.offset - self._skip
        )

    @classmethod
    def open(cls, name: str, key: str, offset: int, byte_size: int) -> _Mapped:
        descriptor = _open(key)
        try:
            info = os.fstat(descriptor)
            if offset + byte_size > info.st_size:
                raise BadRequest(
                    f"failed to register shared memory region '{name}': invalid args: offset {offset} + byte size"
                    f" {byte_size} is beyond the {info.st_size} bytes of '{key}'"
                )
            return cls(Entry(name, key, offset, byte_size, info.st_dev, info.st_ino), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def reopen(cls, entry: Entry) -> _Mapped:
        mapped = cls.open(entry.name, entry.key, entry.offset, entry.byte_size)
        if mapped.entry != entry:
            mapped.close()
            raise BadRequest(
                f"Unable to open shared memory region: '{entry.key}': it is another object than when '{entry.name}' was"
                " registered; unregister it and register it again"
            )
        return mapped

    def start(self, offset: int, byte_size: int) -> int:
        """Where in the file the slot starts."""
        entry = self.entry
        if not (_is_size(offset) and offset < entry.byte_size):
            raise BadRequest(
                f"Invalid offset for shared memory region: '{entry.name}': {offset!r:.40}; it has {entry.byte_size} bytes"
            )
        if not (_is_size(byte_size) and offset + byte_size <= entry.byte_size):
            raise BadRequest(
                f"Invalid offset + byte size for shared memory region: '{entry.name}': {offset} + {byte_size!r:.40};"
                f" it has {entry.byte_size} bytes"
            )
        return entry.offset + offset

    def read(self, offset: int, byte_size: int) -> memoryview:
        start = self.start(offset, byte_size)
        info = os.fstat(self._descriptor)
        if start + byte_size > info.st_size:
            raise self._cut(info.st_size)
        if info.st_blocks * 512 < info.st_size:
            return self._copy(start, byte_size)
        first = self._skip + offset
        return memoryview(self._memory)[first : first + byte_size]

    def write(self, start: int, content: memoryview) -> None:
        size = os.fstat(self._descriptor).st_size
        if start + len(content) > size:
            raise self._cut(size)
        written = 0
        while written < len(content):
            try:
                written += os.pwrite(self._descriptor, content[written:], start + written)
            except OSError as error:
                raise BadRequest(
                    f"Unable to write to shared memory region: '{self.entry.name}': {error.strerror}"
                ) from error

    def close(self) -> None:
        """The memory itself goes with the last view of it."""
        os.close(self._descriptor)
        with suppress(BufferError):  # a view is in use: its reference is the last one
            self._memory.close()

    def _copy(self, start: int, byte_size: int) -> memoryview:
        content = os.pread(self._descriptor, byte_size, start)
        if len(content) != byte_size:
            raise self._cut(os.fstat(self._descriptor).st_size)
        return memoryview(content)

    def _cut(self, size: int) -> BadRequest:
        return BadRequest(
            f"Invalid offset + byte size for shared memory region: '{self.entry.name}': '{self.entry.key}' was cut to"
            f" {size} bytes since it was registered"
        )


def _check_request(name: Any, offset: Any, byte_size: Any) -> None:
    if not (isinstance(name, str) and 0 < len(name) <= NAME_MAX):
        raise BadRequest(f"shared memory region {name!r:.80}: expected a name of 1 to {NAME_MAX} characters")
    if not (_is_size(offset) and _is_size(byte_size) and byte_size > 0):
        raise BadRequest(
            f"failed to register shared memory region '{name}': invalid args: offset {offset!r:.40}, byte size"
            f" {byte_size!r:.40}; expected whole numbers from 0, and at least one byte"
        )


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _open(key: Any) -> int:
    """A descriptor of the object, as `shm_open` would give it; of nothing else, wherever else the key points."""
    stem = key.removeprefix("/") if isinstance(key, str) else ""
    try:
        size = len(stem.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= KEY_BYTES_MAX or "/" in stem or "\0" in stem or stem in {".", ".."}:
        raise BadRequest(
            f"Unable to open shared memory region: {key!r:.80}; expected a name of POSIX shared memory, such as '/frames'"
        )
    try:
        descriptor = os.open(f"{FOLDER}/{stem}", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BadRequest(f"Unable to open shared memory region: '{key}': {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadRequest(f"Unable to open shared memory region: '{key}': it is no shared memory object")
    return descriptor
