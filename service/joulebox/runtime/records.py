"""What each worker's models have done so far, in memory that all workers of a server share.

One file a worker in the run folder: a fixed number of records of fixed size, so that nothing grows and a reader never
waits. A record's numbers only grow while its model is loaded; each is one aligned 8-byte store, which readers see whole.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

MODELS_MAX = 256  # records of one worker
NAME_BYTES = 96  # name and version, each at most 63 and 16 characters
FIELDS = (
    "busy_ns",
    "items",
    "started_ns",  # of what is being computed, on the monotonic clock; 0 while nothing is
    "executions",
    "success",
    "success_ns",
    "failure",
    "failure_ns",
    "queue_ns",
    "decode_ns",
    "encode_ns",
    "last_ms",  # when the last inference ended, in milliseconds since 1970
    "opened_ns",  # when the record was opened, in nanoseconds since 1970: tells it from others of the same model
)
(
    BUSY_NS,
    ITEMS,
    STARTED_NS,
    EXECUTIONS,
    SUCCESS,
    SUCCESS_NS,
    FAILURE,
    FAILURE_NS,
    QUEUE_NS,
    DECODE_NS,
    ENCODE_NS,
    LAST_MS,
    OPENED_NS,
) = range(len(FIELDS))
BATCHES = 64  # batch sizes 1 to 64, each with how often and for how long it was computed
NUMBERS = len(FIELDS) + 2 * BATCHES
RECORD_BYTES = NAME_BYTES + 8 * NUMBERS
HEADER_BYTES = 64  # the worker's CPU nanoseconds, its process id, how many records were ever taken, and room
PATTERN = "work-*"


@dataclass(frozen=True)
class Totals:
    """A model's record, or the sum of several workers' records."""

    fields: tuple[int, ...]
    batches: tuple[tuple[int, int], ...]
    """For batch sizes from 1 up: how often, and nanoseconds."""

    def __add__(self, other: Totals) -> Totals:
        fields = tuple(mine + theirs for mine, theirs in zip(self.fields, other.fields, strict=True))
        latest = [max(self.fields[at], other.fields[at]) for at in (LAST_MS, OPENED_NS)]
        batches = tuple(
            (mine[0] + theirs[0], mine[1] + theirs[1]) for mine, theirs in zip(self.batches, other.batches, strict=True)
        )
        return Totals((*fields[:LAST_MS], *latest), batches)


NOTHING = Totals((0,) * len(FIELDS), ((0, 0),) * BATCHES)


class Records:
    """This worker's records."""

    def __init__(self, path: Path) -> None:
        """Opens the worker's file, which a worker before it of the same number may have left; its records are void.

        Raises:
            OSError: it cannot be made.
        """
        size = HEADER_BYTES + MODELS_MAX * RECORD_BYTES
        with path.open("wb") as file:
            file.truncate(size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._numbers = memoryview(self._map).cast("q")
        self._numbers[1] = os.getpid()
        self._free = list(range(MODELS_MAX - 1, -1, -1))

    def open(self, name: str, version: str) -> Record:
        """A record for a model that is being loaded; where all are taken, one that nobody else sees."""
        if not self._free:
            return Record(memoryview(bytearray(8 * NUMBERS)).cast("q"), -1)
        index = self._free.pop()
        self._numbers[2] = max(self._numbers[2], index + 1)
        offset = HEADER_BYTES + index * RECORD_BYTES
        begin = (offset + NAME_BYTES) // 8
        numbers = self._numbers[begin : begin + NUMBERS]
        numbers[OPENED_NS] = time.time_ns()
        key = f"{name}\0{version}".encode()[:NAME_BYTES]
        self._map[offset : offset + NAME_BYTES] = key.ljust(NAME_BYTES, b"\0")
        return Record(numbers, index)

    def close(self, record: Record) -> None:
        """Frees the record of a model that was unloaded."""
        if record.index < 0:
            return
        offset = HEADER_BYTES + record.index * RECORD_BYTES
        record.numbers.release()
        self._map[offset : offset + RECORD_BYTES] = bytes(RECORD_BYTES)
        self._free.append(record.index)

    def set_cpu_ns(self, nanoseconds: int) -> None:
        """Notes the CPU time that this worker has used."""
        self._numbers[0] = nanoseconds


@dataclass(frozen=True)
class Record:
    """One model's numbers: `FIELDS`, then count and nanoseconds of each batch size."""

    numbers: memoryview
    index: int

    def executed(self, items: int, nanoseconds: int) -> None:
        numbers = self.numbers
        numbers[BUSY_NS] += nanoseconds
        numbers[ITEMS] += items
        numbers[EXECUTIONS] += 1
        at = len(FIELDS) + 2 * (min(items, BATCHES) - 1)
        numbers[at] += 1
        numbers[at + 1] += nanoseconds

    def totals(self) -> Totals:
        return _totals(list(self.numbers))


Key = tuple[str, str]
"""Model name and version."""


@dataclass(frozen=True)
class WorkerRecords:
    """All records of one worker, as they were at one moment."""

    file: str
    pid: int
    cpu_ns: int
    records: tuple[tuple[Key, Totals], ...]
    """A version has several where it drains while it is brought up anew."""

    def totals(self, key: Key) -> Totals:
        return sum((totals for name, totals in self.records if name == key), NOTHING)


def read_records(folder: Path) -> list[WorkerRecords]:
    """Every worker's records."""
    return [_read(path) for path in sorted(folder.glob(PATTERN))]


def _read(path: Path) -> WorkerRecords:
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES).ljust(HEADER_BYTES, b"\0")
            content = file.read(RECORD_BYTES * int.from_bytes(header[16:24], sys.byteorder))  # others were never taken
    except FileNotFoundError:
        header, content = bytes(HEADER_BYTES), b""
    records: list[tuple[Key, Totals]] = []
    for offset in range(0, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
        key = content[offset : offset + NAME_BYTES].rstrip(b"\0")
        if key:
            name, _, version = key.decode(errors="replace").partition("\0")
            numbers = memoryview(content)[offset + NAME_BYTES : offset + RECORD_BYTES].cast("q")
            records.append(((name, version), _totals(numbers.tolist())))
    cpu_ns, pid = (int.from_bytes(header[at : at + 8], sys.byteorder) for at in (0, 8))
    return WorkerRecords(path.name, pid, cpu_ns, tuple(records))


def _totals(numbers: list[int]) -> Totals:
    batches = numbers[len(FIELDS) :]
    return Totals(tuple(numbers[: len(FIELDS)]), tuple(zip(batches[::2], batches[1::2], strict=True)))
