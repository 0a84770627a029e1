"""Lays a board's sysfs on disk. The simulator is a module beside these tests; `make bench-energy` uses it too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

Lay = Callable[[Mapping[str, object]], Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Writes files, given by their path below /sys with what they hold, and gives the folder that stands for /sys."""
    root = tmp_path / "sys"

    def write(files: Mapping[str, object]) -> Path:
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        return root

    return write


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()
