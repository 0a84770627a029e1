"""A bar of the time that a measurement takes, on a terminal; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from joulebox.energy.trial import Say


@contextmanager
def time_bar(title: str, seconds: float) -> Generator[Say]:
    """What is told how many of so many seconds have been spent."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=seconds)
        yield lambda spent_s: bar.advance(task, spent_s)
