"""What training keeps of itself on disk, with a digest in front, so that a damaged one is never gone on from."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from joulebox_build.files import replace_atomically

DIGEST = hashlib.sha256().digest_size  # bytes


def keep(path: Path, state: Mapping[str, Any]) -> None:
    """Writes it whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getbuffer()

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)

    replace_atomically(path, write)


def kept(path: Path) -> dict[str, Any] | None:
    """What was kept there; None where that is nothing, or not what was written."""
    try:
        file = path.read_bytes()
    except OSError:
        return None
    digest, content = file[:DIGEST], memoryview(file)[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    return cast("dict[str, Any]", torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
