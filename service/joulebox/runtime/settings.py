"""What an operator can set, from `JOULEBOX_*` environment variables, with the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import pathsep
from pathlib import Path

SHIPPED = "models/*/package"  # in a checkout and in a bento


class SettingError(ValueError):
    """A setting is not what it should be."""


@dataclass(frozen=True)
class Settings:
    """The server's settings."""

    packages: tuple[Path, ...]
    threads: int = 1
    """Of each engine; 0 leaves the choice to the engine."""
    queue_size: int = 256
    """Requests that may wait for one model; more are refused."""
    body_bytes_max: int = 16 * 2**20
    expose_energy: bool = False
    """Energy figures to clients beyond loopback: a joule is a power side channel."""


def load_settings(environment: Mapping[str, str], folder: Path) -> Settings:
    """Reads the settings; without `JOULEBOX_PACKAGES`, the packages that lie in `folder`'s models.

    Raises:
        SettingError: a value is malformed or out of range.
    """
    named = environment.get("JOULEBOX_PACKAGES", "")
    packages = [Path(part) for part in named.split(pathsep) if part] or sorted(folder.glob(SHIPPED))
    return Settings(
        tuple(packages),
        threads=_integer(environment, "JOULEBOX_THREADS", Settings.threads, 0, 1024),
        queue_size=_integer(environment, "JOULEBOX_QUEUE_SIZE", Settings.queue_size, 1, 1_000_000),
        body_bytes_max=_integer(environment, "JOULEBOX_BODY_BYTES_MAX", Settings.body_bytes_max, 1024, 2**31),
        expose_energy=_integer(environment, "JOULEBOX_EXPOSE_ENERGY", 0, 0, 1) == 1,
    )


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise SettingError(f"{name}={text!r}: expected a whole number from {low} to {high}")
    return value
