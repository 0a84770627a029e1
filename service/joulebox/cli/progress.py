"""How long a measurement takes: a bar on a terminal; elsewhere a line, where it is long."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from joulebox.energy.trial import Say

LONG_S = 120.0


@contextmanager
def time_bar(title: str, seconds: float) -> Generator[Say]:
    """What is told how many of so many seconds have been spent."""
    console = Console(stderr=True)
    if not console.is_terminal and seconds > LONG_S:
        console.print(f"{title}: this takes {seconds / 60:.0f} minutes", highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=seconds)
        yield lambda spent_s: bar.advance(task, spent_s)
