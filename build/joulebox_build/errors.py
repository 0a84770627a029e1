"""What can go wrong in a build through its user's doing. Each message says what, the value, what was expected and what to do."""

from __future__ import annotations


class BuildError(Exception):
    """A build that cannot go on; the message is one clear line."""

    exit_code = 2


class RecipeError(BuildError):
    """The recipe, or a file it names, is not what it should be."""


class DataError(BuildError):
    """The data cannot be had, or is not what it should be."""


class GateError(BuildError):
    """The model misses a limit of its gate, so no package was written."""

    exit_code = 3
