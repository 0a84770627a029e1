"""Digests of content: of bytes, and of JSON values in one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

IDENTITY_EXCLUDES = frozenset({"version", "evidence", "checksum"})
VERSION_DIGITS = 16


def sha256(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces; NaN and infinity are refused.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def render(manifest: dict[str, Any]) -> bytes:
    """The bytes of `manifest.json`: the only ones that are accepted for this content."""
    return json.dumps(manifest, indent=1, allow_nan=False).encode() + b"\n"


def version(manifest: dict[str, Any]) -> str:
    """Of all that decides what the model is and answers: two packages of one version answer alike."""
    return sha256(canonical({key: manifest[key] for key in manifest.keys() - IDENTITY_EXCLUDES}))[:VERSION_DIGITS]


def checksum(manifest: dict[str, Any]) -> str:
    """Of the whole manifest but the checksum itself."""
    return sha256(canonical({key: manifest[key] for key in manifest.keys() - {"checksum"}}))
