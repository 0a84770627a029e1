"""The workers of one server: what they are to serve, what each serves, and who reads the energy counters.

They meet in a folder, since they are siblings and BentoML gives them no other place. What is wanted stands in one file
with a generation; each worker makes it so and reports. Files are written aside and renamed, so that nobody reads half of
one, and a change is made under a lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

WANTED, LOCK, LEADER = "wanted.json", "wanted.lock", "leader.lock"
REPORT = "report-"
RETRY_S = 0.02


@dataclass(frozen=True)
class Wanted:
    """What every worker is to serve."""

    generation: int
    models: dict[str, str]
    """Name to the folder of one version, so that all workers serve the same."""


@dataclass(frozen=True)
class Report:
    """What one worker serves."""

    worker: int
    pid: int
    generation: int
    ready: bool
    failures: dict[str, str]
    """Model name to why it is not served as wanted."""


class Fleet:
    """This worker's view of its server's run folder."""

    def __init__(self, folder: Path, worker: int, workers: int) -> None:
        self.folder = folder
        self.worker = worker
        self.workers = workers
        self._seen: tuple[int, int] | None = None
        self._leading: int | None = None

    @property
    def work_file(self) -> Path:
        return self.folder / f"work-{self.worker}"

    def wanted(self) -> Wanted | None:
        """What is wanted now; None before anything is."""
        try:
            return Wanted(**orjson.loads((self.folder / WANTED).read_bytes()))
        except FileNotFoundError:
            return None

    def changed(self) -> bool:
        """Whether what is wanted was written since the last call."""
        try:
            found = (self.folder / WANTED).stat()
        except FileNotFoundError:
            return False
        seen, self._seen = self._seen, (found.st_mtime_ns, found.st_ino)
        return seen != self._seen

    def want(self, wanted: Wanted) -> None:
        """Tells all workers. Only under `changing`."""
        self.write(WANTED, orjson.dumps(asdict(wanted)))

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[None]:
        """Holds the lock under which what is wanted may change; the kernel drops it with the process."""
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _lock(handle):  # noqa: ASYNC110  # another process holds it, and no event tells
                await asyncio.sleep(RETRY_S)
            yield
        finally:
            os.close(handle)

    def lead(self) -> bool:
        """Whether this worker is the one that reads the host's counters; it stays so until it ends."""
        if self._leading is None:
            handle = os.open(self.folder / LEADER, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(handle):
                os.close(handle)
                return False
            self._leading = handle
        return True

    def report(self, generation: int, *, ready: bool, failures: dict[str, str]) -> None:
        """Tells the others what this worker serves."""
        report = Report(self.worker, os.getpid(), generation, ready, failures)
        self.write(f"{REPORT}{self.worker}.json", orjson.dumps(asdict(report)))

    def reports(self) -> list[Report]:
        """Of all workers that live."""
        found: list[Report] = []
        for path in sorted(self.folder.glob(f"{REPORT}*.json")):
            try:
                report = Report(**orjson.loads(path.read_bytes()))
            except FileNotFoundError:
                continue
            if lives(report.pid):
                found.append(report)
        return found

    @property
    def ready(self) -> bool:
        """Whether all workers are there and serve what is wanted."""
        reports = self.reports()
        return len(reports) >= self.workers and all(report.ready for report in reports)

    async def settled(self, generation: int, timeout_s: float) -> list[Report]:
        """Waits until all workers that live have reported this generation or a later one; gives their reports.

        Raises:
            TimeoutError: some have not in time.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            reports = self.reports()
            late = [report.worker for report in reports if report.generation < generation]
            if not late:
                return reports
            if asyncio.get_running_loop().time() > deadline_s:
                raise TimeoutError(f"workers {late} have not reported within {timeout_s:g} s")
            await asyncio.sleep(RETRY_S)

    def read(self, name: str) -> bytes | None:
        """What another worker has left; None where there is nothing."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Leaves something for the other workers to read.

        Raises:
            OSError: it cannot; what was there before is still there.
        """
        temporary = self.folder / f".{name}-{self.worker}"
        try:
            temporary.write_bytes(content)
            temporary.replace(self.folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)  # what fits of it on a full disk is of no use
            raise


def open_fleet(folder: Path | None, worker: int, workers: int) -> Fleet:
    """The fleet that meets in `folder`; without one, as under `bentoml serve`, that of this process's parent."""
    if folder is None:
        parent = os.getppid()
        started = _started(parent)
        folder = Path(tempfile.gettempdir()) / f"joulebox-{os.getuid()}-{parent}-{started}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        _sweep(folder)
    return Fleet(folder, worker, workers)


def _sweep(mine: Path) -> None:
    """Removes what servers that have ended left behind."""
    for folder in mine.parent.glob(f"joulebox-{os.getuid()}-*-*"):
        _, _, parent, started = folder.name.split("-", 3)
        try:
            ended = _started(parent) != started
        except OSError:
            ended = True
        if ended:
            shutil.rmtree(folder, ignore_errors=True)


def _started(pid: int | str) -> str:
    """When a process was started, in the kernel's clock ticks: with it, a number is one process's for ever."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lives(pid: int) -> bool:
    """Whether it is a process of this server's user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError, OverflowError):  # ended, or somebody else has its number
        return False
    return True
