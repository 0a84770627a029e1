"""Progress on standard error: a bar on a terminal, a line an epoch elsewhere, nothing when quiet."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Protocol):
    """Where a long stage says how far it is."""

    def advance(self, units: float) -> None: ...

    def say(self, text: str) -> None: ...


class Silent:
    """Says nothing."""

    def advance(self, units: float) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _OnBar:
    def __init__(self, bar: Bar, title: str, total: float) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=total, status="")
        self._title = title
        self._lines = not bar.console.is_terminal

    def advance(self, units: float) -> None:
        self._bar.advance(self._task, units)

    def say(self, text: str) -> None:
        self._bar.update(self._task, status=text)
        if self._lines:
            task = self._bar.tasks[self._task]
            self._bar.console.print(f"{self._title} {task.completed:.0f}/{task.total:.0f}: {text}", highlight=False)


@contextmanager
def bar(title: str, total: float) -> Generator[Progress]:
    """A progress bar of `total` units (epochs, batches, …)."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as rich_bar:
        yield _OnBar(rich_bar, title, total)
