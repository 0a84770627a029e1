"""What a bento carries to install joulebox from: its wheel, and the exact versions that it runs with here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

import orjson
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from joulebox_build.errors import BuildError

RUNTIME = "joulebox[cpu]"
REQUIREMENTS = "requirements.txt"
EPOCH = "315532800"  # 1980, the earliest that a zip file can hold: the same sources make the same wheel


def write_wheel(folder: Path) -> Path:
    """Builds the wheel of the installed joulebox into `folder`, with the requirements of a bento around it.

    Raises:
        BuildError: joulebox is not installed from its sources, something that it needs is missing, or the build fails.
    """
    pins = pinned()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("joulebox-*.whl"):
        old.unlink()
    wheel = _build(_sources(), folder)
    lines = [f"./{folder.name}/{wheel.name}", *pins]
    (folder / REQUIREMENTS).write_text("\n".join(lines) + "\n", "utf-8")
    return wheel


def pinned() -> list[str]:
    """`NAME==VERSION` of all that the device's runtime needs, as installed here."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(RUNTIME)]
    while waiting:
        requirement = waiting.pop()
        installed = _installed(requirement)
        name = canonicalize_name(requirement.name)
        found[name] = f"{name}=={Version(installed.version).public}"
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting.extend(_needs(installed.requires or (), extra))
    return [pin for name, pin in sorted(found.items()) if name != "joulebox"]


def _needs(requirements: Iterable[str], extra: str) -> list[Requirement]:
    parsed = [Requirement(text) for text in requirements]
    return [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": extra})]


def _installed(requirement: Requirement) -> Distribution:
    try:
        return distribution(requirement.name)
    except PackageNotFoundError as error:
        raise BuildError(
            f"{requirement} is needed in the bento but not installed here: pip install '{RUNTIME}'"
        ) from error


def _sources() -> Path:
    """The folder that joulebox was installed from."""
    origin = distribution("joulebox").read_text("direct_url.json")
    url = urlparse(str(orjson.loads(origin)["url"])) if origin else None
    folder = Path(unquote(url.path)) if url and url.scheme == "file" else None
    if folder is None or not (folder / "pyproject.toml").is_file():
        raise BuildError("joulebox is not installed from its sources: pip install -e 'service[cpu]' in a checkout")
    return folder


def _build(sources: Path, folder: Path) -> Path:
    """Builds in a copy: setuptools leaves files beside the sources, and puts those of former builds into the wheel."""
    with tempfile.TemporaryDirectory() as temporary:
        copy, made = Path(temporary, "sources"), Path(temporary, "made")
        ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(sources, copy, ignore=ignored)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        result = subprocess.run(
            [*command, "--wheel-dir", str(made), str(copy)],
            env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = sorted(made.glob("joulebox-*.whl")) if result.returncode == 0 else []
        if len(wheels) != 1:
            raise BuildError(f"the wheel of joulebox could not be built: {_last_line(result.stderr)}")
        return Path(shutil.copy2(wheels[0], folder))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "pip said nothing"


if __name__ == "__main__":
    print(write_wheel(Path(sys.argv[1])))
