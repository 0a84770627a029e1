"""What can be wrong with a model package."""

from __future__ import annotations


class PackageError(Exception):
    """A package that must not be used; the message is one clear line."""
