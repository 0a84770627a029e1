"""What keeps a benchmark from giving figures. `exit_code` is what the command ends with."""

from __future__ import annotations


class BenchError(Exception):
    """The server cannot be reached, or answers nothing that could be measured."""

    exit_code = 1


class UsageError(BenchError):
    """What was asked for cannot be: an unknown model, a shape that it does not take, a file that is not there."""

    exit_code = 2
