"""System shared memory: tensors that a client on this board hands over, and is handed, without a copy through a socket.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_shared_memory.md; the texts of errors
that its clients read are those of Triton's `shared_memory_manager.cc`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulebox.runtime.errors import BadRequest, NotFound, Unsupported
from joulebox.runtime.mapped import Mapped, is_size
from joulebox.runtime.region_table import Entry, RegionTable

REGIONS_MAX = 256
BYTES_MAX = 16 * 2**30
NAME_MAX = 256


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
        self._mapped: dict[str, Mapped] = {}
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
            mapped = Mapped.open(name, key, offset, byte_size)
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

    def _region(self, name: str) -> Mapped:
        self._refresh()
        mapped = self._mapped.get(name)
        if mapped is not None:
            return mapped
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound(f"Unable to find shared memory region: '{name[:NAME_MAX]}'")
        self._mapped[name] = mapped = Mapped.reopen(entry)  # another worker has registered it
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


def _check_request(name: Any, offset: Any, byte_size: Any) -> None:
    if not (isinstance(name, str) and 0 < len(name) <= NAME_MAX):
        raise BadRequest(f"shared memory region {name!r:.80}: expected a name of 1 to {NAME_MAX} characters")
    if not (is_size(offset) and is_size(byte_size) and byte_size > 0):
        raise BadRequest(
            f"failed to register shared memory region '{name}': invalid args: offset {offset!r:.40}, byte size"
            f" {byte_size!r:.40}; expected whole numbers from 0, and at least one byte"
        )
