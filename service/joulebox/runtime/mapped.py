"""A region of shared memory in this process.

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
from contextlib import suppress
from typing import Any

from joulebox.runtime.errors import BadRequest
from joulebox.runtime.region_table import Entry

FOLDER = "/dev/shm"  # noqa: S108  # where Linux keeps POSIX shared memory; never written to by name
KEY_BYTES_MAX = 255


class Mapped:
    """A region in this process's memory."""

    def __init__(self, entry: Entry, descriptor: int) -> None:
        self.entry = entry
        self._descriptor = descriptor
        self._skip = entry.offset % mmap.ALLOCATIONGRANULARITY
        self._memory = mmap.mmap(
            descriptor, self._skip + entry.byte_size, prot=mmap.PROT_READ, offset=entry.offset - self._skip
        )

    @classmethod
    def open(cls, name: str, key: str, offset: int, byte_size: int) -> Mapped:
        descriptor = open_object(key)
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
    def reopen(cls, entry: Entry) -> Mapped:
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
        if not (is_size(offset) and offset < entry.byte_size):
            raise BadRequest(
                f"Invalid offset for shared memory region: '{entry.name}': {offset!r:.40}; it has {entry.byte_size} bytes"
            )
        if not (is_size(byte_size) and offset + byte_size <= entry.byte_size):
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


def is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def open_object(key: Any) -> int:
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
