"""A virtual environment for each peer, made with pip from exact pins and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

PEERS = Path(__file__).parent / "peers"
INSTALL_S = 1200
DEBIAN_PYTHON = "/usr/bin/python3"


class UnavailableError(Exception):
    """A server cannot be installed or started; the text is the reason, one line."""


def cache_folder() -> Path:
    named = os.environ.get("JOULEBOX_CACHE")
    return (Path(named) if named else platformdirs.user_cache_path("joulebox")) / "bench"


def own_environment() -> dict[str, str]:
    """This process's, without what would change a server's defaults."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("JOULEBOX_", "BENTOML_", "MLSERVER_"))
    }


def foreign_environment() -> dict[str, str]:
    """The same without what points to this process's Python."""
    return {key: value for key, value in own_environment().items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def python_for(peer: str) -> Path:
    """The Python of a peer's environment, which is made the first time.

    Raises:
        UnavailableError: it cannot be made.
    """
    requirements = PEERS / f"requirements-{peer}.txt"
    base = _base_python(peer)
    made_of = hashlib.sha256(requirements.read_bytes() + _version(base).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{peer}-{made_of}"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([base, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)])
        (folder / "made").touch()
    return folder / "bin/python"


def _base_python(peer: str) -> str:
    """pytriton's Triton loads Debian's own libpython 3.11; one that pyenv built misses a symbol of it."""
    return DEBIAN_PYTHON if peer == "pytriton" else sys.executable


def _version(python: str) -> str:
    return _run([python, "-c", "import sys; print(sys.version)"])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, env=foreign_environment(), capture_output=True, text=True, check=True, timeout=INSTALL_S
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or f"exit status {error.returncode}").splitlines()[-1]
        raise UnavailableError(f"{Path(command[0]).name} {' '.join(command[1:3])}: {last[:200]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)[:200]) from error
    return done.stdout
