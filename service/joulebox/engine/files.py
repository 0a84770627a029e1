"""Files of a model, for a library that takes them from a folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def lay(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes them, each at its place below the folder."""
    for location, content in contents.items():
        path = folder / location
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
