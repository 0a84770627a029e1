"""Whether the engine that `JOULEBOX_STRICT` names can serve a package here; asked in a process of its own, which gives all memory back.

`python -m joulebox.runtime.strict PACKAGE` is that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from joulebox.package import open_package
from joulebox.runtime.candidate import Candidate, open_candidates
from joulebox.runtime.rungs import ladder
from joulebox.runtime.settings import load_settings

TIMEOUT_S = 600.0
FAILED = 1


def why_not(package: Path, environment: Mapping[str, str]) -> str | None:
    """Why it cannot; None where it can.

    Args:
        environment: with the settings.
    """
    command = [sys.executable, "-m", "joulebox.runtime.strict", os.fspath(package.absolute())]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it was not open within {TIMEOUT_S:g} s"
    said = done.stdout.strip().splitlines()
    if done.returncode == FAILED and said:
        return said[-1]
    return None if done.returncode == 0 else f"its process ended with status {done.returncode}"


def _why_not(path: Path) -> str | None:
    package, reasons = open_package(path), list[str]()
    for found in open_candidates(package, ladder(package, load_settings(os.environ, Path.cwd()))):
        if isinstance(found, Candidate):
            return None
        rung, why = found
        reasons.append(f"{rung.name}: {why}")
    return "; ".join(reasons) or "no variant of the package is for it, or it is not installed"


if __name__ == "__main__":
    why = _why_not(Path(sys.argv[1]))
    if why is not None:
        print(why)
        sys.exit(FAILED)
