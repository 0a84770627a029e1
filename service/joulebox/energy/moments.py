"""Sums of squares and products over stretches of time: all that fitting, testing and doubting need, in bounded memory.

A row is a stretch of contiguous intervals. Its columns are seconds, joules, the bend (see `fit.bent`), and each model's busy
seconds. Rows are summed into blocks. The newest blocks are the window that the weights are fitted over; all of them, merged
in pairs whenever they become too many, tell how far the fit would differ had another part of the past been left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from joulebox.energy.intervals import Key
from joulebox.energy.weights import Floats

SECONDS, JOULES, BEND, FIRST = 0, 1, 2, 3  # columns; models from FIRST on
BLOCK_ROWS = 10
WINDOW_BLOCKS = 60
PAST_BLOCKS = 32
MODELS_MAX = 32  # with weights of their own; others get the mean


@dataclass
class Block:
    """The sums over some rows."""

    gram: Floats
    """[columns, columns]."""
    rows: int = 0


@dataclass
class Moments:
    """What is kept of the past."""

    columns: dict[Key, int] = field(default_factory=dict[Key, int])
    window: deque[Block] = field(default_factory=lambda: deque[Block](maxlen=WINDOW_BLOCKS))
    past: list[Block] = field(default_factory=list[Block])
    _open: Block = field(default_factory=lambda: Block(np.zeros((FIRST, FIRST))))
    _span: int = 1
    """How many blocks of the window one of the past holds."""
    _filled: int = 0

    def add(self, seconds: float, joules: float, bend: float, busy_s: Mapping[Key, float]) -> bool:
        """Adds a row; says whether that completed a block."""
        for key in busy_s:
            if key not in self.columns:
                self._make_room(key)
        row = np.zeros(FIRST + len(self.columns))
        row[:FIRST] = seconds, joules, bend
        for key, busy in busy_s.items():
            if key in self.columns:
                row[self.columns[key]] = busy
        self._open.gram += np.outer(row, row)
        self._open.rows += 1
        if self._open.rows < BLOCK_ROWS:
            return False
        self._close()
        return True

    def recent(self) -> Block:
        """The sums over the window, the open block included."""
        return total([*self.window, self._open])

    def forget_before(self, blocks: int) -> None:
        """Leaves only the newest blocks in the window: something has changed since the others."""
        while len(self.window) > blocks:
            self.window.popleft()

    def __getstate__(self) -> dict[str, Any]:
        """Many small arrays in one: they are pickled several times a second."""
        return {**self.__dict__, "window": _packed(self.window), "past": _packed(self.past)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        window, past = _unpacked(*state["window"]), _unpacked(*state["past"])
        self.__dict__.update(state | {"window": deque(window, maxlen=WINDOW_BLOCKS), "past": past})

    def _close(self) -> None:
        self.window.append(self._open)
        if self._filled == 0:
            self.past.append(total([self._open]))
        else:
            self.past[-1] = total([self.past[-1], self._open])
        self._filled = (self._filled + 1) % self._span
        if len(self.past) == PAST_BLOCKS and self._filled == 0:
            self.past = [total(self.past[at : at + 2]) for at in range(0, PAST_BLOCKS, 2)]
            self._span *= 2
        self._open = Block(np.zeros_like(self._open.gram))

    def _make_room(self, key: Key) -> None:
        """A column for a model that is new: one more, or that of the model least seen in the window."""
        if len(self.columns) < MODELS_MAX:
            self.columns[key] = FIRST + len(self.columns)
            for block in (*self.window, *self.past, self._open):
                block.gram = np.pad(block.gram, ((0, 1), (0, 1)))
            return
        seen = np.diagonal(self.recent().gram)
        oldest = min(self.columns, key=lambda each: seen[self.columns[each]])
        column = self.columns.pop(oldest)
        self.columns[key] = column
        # Its joules would be taken for others': what it was part of is forgotten altogether.
        kept = [block for block in self.window if block.gram[column, column] == 0]
        self.window = deque(kept, maxlen=WINDOW_BLOCKS)
        self.past = [block for block in self.past if block.gram[column, column] == 0]
        self._filled = 0
        if self._open.gram[column, column] > 0:
            self._open = Block(np.zeros_like(self._open.gram))


def _packed(blocks: Collection[Block]) -> tuple[Floats, list[int]]:
    return np.array([block.gram for block in blocks]), [block.rows for block in blocks]


def _unpacked(grams: Floats, rows: list[int]) -> list[Block]:
    return [Block(gram.copy(), count) for gram, count in zip(grams, rows, strict=True)]


def total(blocks: Sequence[Block]) -> Block:
    """The sums over all rows of some blocks."""
    return Block(np.sum([block.gram for block in blocks], axis=0), sum(block.rows for block in blocks))
