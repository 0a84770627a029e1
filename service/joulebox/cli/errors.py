"""What ends a command with one clear line. `exit_code` is what it ends with."""

from __future__ import annotations


class FailedError(Exception):
    """What was asked for could not be done on this host, or not now."""

    exit_code = 1


class UsageError(Exception):
    """What was asked for cannot be."""

    exit_code = 2
