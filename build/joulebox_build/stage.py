"""Stages: each is a pure function of what its key names, and what it made is kept, whole or not at all, for the next build.

The cache is a folder of entries, `<stage>-<key>/`, below `$JOULEBOX_CACHE` or the user's cache folder. An entry is
written aside, synced and renamed, so a killed build leaves no half of one; a file lock keeps two builds from making
the same one at once. The least recently used entries go when a size limit is passed.
"""

from __future__ import annotations

import ast
import fcntl
import functools
import importlib.util
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs
import torch

from joulebox.package.digest import canonical, sha256

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "scikit-learn")
SIZE_MAX = 2 * 2**30  # bytes
LEFTOVER_AGE_S = 24 * 3600.0  # what a killed build left aside is removed after that
INDEX = "stage.json"
HARMLESS = frozenset({"joulebox_build.progress", "joulebox_build.errors"})  # cannot change what a stage makes

Make = Callable[[Path], Mapping[str, bytes]]
"""From a scratch folder, which outlives a killed build, to the files of the artifact."""


@dataclass(frozen=True)
class Artifact:
    """What a stage made: file name to content."""

    stage: str
    key: str
    files: Mapping[str, bytes]
    cached: bool
    seconds: float  # to make it, or to read it

    @property
    def digest(self) -> str:
        return sha256(canonical({name: sha256(content) for name, content in self.files.items()}))

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])


class Stages:
    """Runs stages, each only where the cache has not got what it would make."""

    def __init__(
        self, folder: Path | None = None, *, size_max: int = SIZE_MAX, say: Callable[[Artifact], None] = lambda _: None
    ) -> None:
        self._folder = folder or default_folder()
        self._size_max = size_max
        self._say = say
        self.log: list[Artifact] = []

    def run(self, stage: str, module: str, inputs: Mapping[str, Any], make: Make) -> Artifact:
        """The stage's artifact, from the cache or made now.

        Args:
            module: where the stage's code is; its source and those of all it imports of ours are part of the key.
            inputs: what else decides the result, as JSON: parameters, and digests of data and earlier artifacts.
            make: makes it.
        """
        described = {
            "stage": stage,
            "inputs": inputs,
            "sources": sources(module),
            "libraries": libraries(),
            "machine": machine(),
        }
        key = sha256(canonical(described))[:32]
        started = time.monotonic()
        entry = self._folder / f"{stage}-{key}"
        with self._locked(key):
            files = _read(entry)
            cached = files is not None
            if files is None:
                scratch = self._folder / f".scratch-{stage}-{key}"
                scratch.mkdir(parents=True, exist_ok=True)
                files = make(scratch)
                _place(entry, files, described)
                shutil.rmtree(scratch)
        self._shrink()
        artifact = Artifact(stage, key, files, cached, time.monotonic() - started)
        self.log.append(artifact)
        self._say(artifact)
        return artifact

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """One of 256 locks, so that their number is bounded; two stages that share one just wait for each other."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".lock-{key[:2]}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield  # closing, or dying, lets go of it

    def _shrink(self) -> None:
        """Removes what is least recently used until the rest fits. Who reads an entry meanwhile makes it anew."""
        now = time.time()
        entries: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            try:
                if path.is_dir():
                    age = path.stat().st_mtime
                    aside = path.name.startswith(".making-")
                    if aside and now - age > LEFTOVER_AGE_S:
                        shutil.rmtree(path, ignore_errors=True)
                    elif not aside:
                        entries.append((age, _size(path), path))
            except FileNotFoundError:  # another build was quicker
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._size_max:
                break
            _remove(path)
            total -= size


def default_folder() -> Path:
    named = os.environ.get("JOULEBOX_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("joulebox") / "build"


@functools.cache
def libraries() -> dict[str, str]:
    """The versions of what computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


@functools.cache
def machine() -> dict[str, Any]:
    """What floating-point results depend on beside the code: the processor, and how many threads share the sums."""
    return {
        "architecture": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = [line for line in lines if line.startswith(("flags", "Features"))]
    return f"{named[0] if named else platform.processor()} {sha256(''.join(flags[:1]).encode())[:8]}"


@functools.cache
def sources(module: str) -> dict[str, str]:
    """SHA-256 of the module's file, and of each of our modules that it imports, near or far."""
    found: dict[str, str] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        path = _origin(name)
        if name in found or name in HARMLESS or path is None:
            continue
        content = path.read_bytes()
        found[name] = sha256(content)
        ahead += _imports(content)
    return dict(sorted(found.items()))


def _imports(content: bytes) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] in ("joulebox", "joulebox_build")]


def _origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # the name is a class or function in a module
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _read(entry: Path) -> dict[str, bytes] | None:
    """The entry's files, or None where there is none or it was damaged."""
    try:
        listed = json.loads((entry / INDEX).read_text("utf-8"))["files"]
        files = {name: (entry / name).read_bytes() for name in listed}
        os.utime(entry)
    except (OSError, ValueError, KeyError):
        _remove(entry)
        return None
    if any(sha256(content) != listed[name] for name, content in files.items()):
        _remove(entry)
        return None
    return files


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
    aside = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".making-")) if entry.exists() else None
    if aside is None:
        return
    try:
        entry.rename(aside / entry.name)
    except FileNotFoundError:  # another build was quicker
        pass
    shutil.rmtree(aside, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
