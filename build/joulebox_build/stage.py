"""Stages: each is a pure function of what its key names, and what it made is kept, whole or not at all, for the next build.

The cache is a folder of entries, `<stage>-<key>/`, below `$JOULEBOX_CACHE` or the user's cache folder. An entry is
written aside, synced and renamed, so a killed build leaves no half of one; a file lock keeps two builds from making
the same one at once. The least recently used entries go when a size limit is passed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from joulebox.package.digest import canonical, sha256
from joulebox_build.errors import BuildError
from joulebox_build.provenance import libraries, machine
from joulebox_build.spending import Spending, Spent

SIZE_MAX = 10 * 2**30  # bytes
LEFTOVER_AGE_S = 24 * 3600.0  # what a killed build left aside is removed after that
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
INDEX = "stage.json"
SPENT = "spent.json"  # in the scratch folder: what was spent so far

Make = Callable[[Path], Mapping[str, bytes]]
"""From a scratch folder, which outlives a killed build, to the files of the artifact."""


@dataclass(frozen=True)
class Ran:
    """A stage that was run, without what it made: a search logs thousands."""

    stage: str
    of: str  # what the stage was run on, for people; empty where there is only one
    key: str
    cached: bool
    seconds: float  # to make it, or to read it
    spent: Spent  # on making it, whenever that was, attempts that were cut off included


@dataclass(frozen=True)
class Artifact(Ran):
    """What a stage made: file name to content."""

    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return sha256(canonical({name: sha256(content) for name, content in self.files.items()}))

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])


class Stages:
    """Runs stages, each only where the cache has not got what it would make."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        size_max: int = SIZE_MAX,
        say: Callable[[Ran], None] = lambda _: None,
        spending: Spending | None = None,
    ) -> None:
        self.folder = folder or default_folder()
        self._spending = spending or Spending(())
        self._size_max = size_max
        self._say = say
        self.log: list[Ran] = []

    def run(
        self, stage: str, code: Mapping[str, str], inputs: Mapping[str, Any], make: Make, *, of: str = ""
    ) -> Artifact:
        """The stage's artifact, from the cache or made now.

        Args:
            code: the digests of its sources.
            inputs: what else decides the result, as JSON: parameters, and digests of data and earlier artifacts.
            make: makes it.
            of: see `Artifact`.
        """
        described = {
            "stage": stage,
            "inputs": inputs,
            "sources": code,
            "libraries": libraries(),
            "machine": machine(),
        }
        key = sha256(canonical(described))[:32]
        started = time.monotonic()
        entry = self.folder / f"{stage}-{key}"
        with self._room(), self._locked(key):
            found = _read(entry)
            files, spent = found or self._make(entry, described, make, self.folder / f".scratch-{stage}-{key}")
            self._shrink()
        ran = Ran(stage, of, key, found is not None, time.monotonic() - started, spent)
        again = ran.cached and any(each.key == key for each in self.log)
        self.log.append(ran)
        if not again:
            self._say(ran)
        return Artifact(**vars(ran), files=files)

    def once(self) -> list[Ran]:
        """The log, with each stage as it was first run."""
        first: dict[str, Ran] = {}
        for ran in self.log:
            first.setdefault(ran.key, ran)
        return list(first.values())

    def _make(
        self, entry: Path, described: Mapping[str, Any], make: Make, scratch: Path
    ) -> tuple[Mapping[str, bytes], Spent]:
        scratch.mkdir(parents=True, exist_ok=True)
        with self._spending.watch(scratch / SPENT) as spent:
            files = make(scratch)
        _place(entry, files, {**described, "spent": spent.as_json()})
        shutil.rmtree(scratch, ignore_errors=True)  # another build may have made room
        return files, spent

    @contextmanager
    def _locked(self, key: str) -> Generator[None]:
        """The key's own byte of one lock file: a build waits for who makes the same, and for nobody else."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise BuildError(
                f"the cache {self.folder} cannot be written ({error.strerror}); set JOULEBOX_CACHE to a folder that can"
            ) from error
        with lock:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, _one_byte(int(key[:15], 16)))
            yield  # closing, or dying, lets go of it

    @contextmanager
    def _room(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise BuildError(
                f"{error.filename or self.folder} cannot be written ({error.strerror}); make room, or set JOULEBOX_CACHE and "
                "TMPDIR to folders that have some: what was finished is kept"
            ) from error

    def _shrink(self) -> None:
        """Removes what is least recently used until the rest fits. Who reads an entry meanwhile makes it anew.

        What a build that may still run has in its scratch folder stays.
        """
        now = time.time()
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                if path.is_dir():
                    age = path.stat().st_mtime
                    aside, young = path.name.startswith(".making-"), now - age <= LEFTOVER_AGE_S
                    if aside and not young:
                        shutil.rmtree(path, ignore_errors=True)
                    elif not (young and path.name.startswith(".")):
                        entries.append((age, _size(path), path))
            except FileNotFoundError:  # another build was quicker
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._size_max:
                break
            _remove(path)
            total -= size


def _one_byte(place: int) -> bytes:
    """C's `struct flock` for a write lock."""
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)


def default_folder() -> Path:
    named = os.environ.get("JOULEBOX_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("joulebox") / "build"


def _read(entry: Path) -> tuple[dict[str, bytes], Spent] | None:
    """The entry's files, and what was spent on them; None where there is none or it was damaged."""
    try:
        index = json.loads((entry / INDEX).read_text("utf-8"))
        listed, kept = index["files"], index.get("spent")
        spent = Spent(**kept) if kept else Spent()
        files = {name: (entry / name).read_bytes() for name in listed}
        whole = all(sha256(content) == listed[name] for name, content in files.items())
        os.utime(entry)
    except (OSError, ValueError, KeyError, TypeError):
        whole, files, spent = False, {}, Spent()
    if not whole:
        _remove(entry)
        return None
    return files, spent


def _place(entry: Path, files: Mapping[str, bytes], described: Mapping[str, Any]) -> None:
    index = {**described, "files": {name: sha256(content) for name, content in files.items()}}
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".making-"))
    try:
        for name, content in {**files, INDEX: json.dumps(index, indent=1).encode()}.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove(entry: Path) -> None:
    """Renamed first, so that nobody reads half of it."""
    if not entry.exists():
        return
    aside = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".making-"))
    with suppress(FileNotFoundError):  # another build was quicker
        entry.rename(aside / entry.name)
    shutil.rmtree(aside, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
