"""Sums of squares and products over stretches of time: all that fitting, testing and doubting need, in bounded memory.

A row is a stretch of contiguous intervals. Its columns are seconds, joules, the bend (see `fit.bent`), and each model's busy
seconds. Rows are summed into blocks. The newest blocks are the window that the weights are fitted over; all of them, merged
in pairs whenever they become too many, tell how far the fit would differ had another part of the past been left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from joulebox.energy.blocks import Block, Blocks
from joulebox.energy.intervals import Key

SECONDS, JOULES, BEND, FIRST = 0, 1, 2, 3  # columns; models from FIRST on
BLOCK_ROWS = 10
WINDOW_BLOCKS = 60
PAST_BLOCKS = 32
MODELS_MAX = 32  # with weights of their own; others get the mean


@dataclass
class Moments:
    """What is kept of the past."""

    block_s: float = 0.0
    """A block is at least so long."""
    window_blocks: int = WINDOW_BLOCKS
    past_blocks: int = PAST_BLOCKS
    """0: nothing is kept beyond the window."""
    columns: dict[Key, int] = field(default_factory=dict[Key, int])
    window: Blocks = field(default_factory=lambda: Blocks.none(FIRST))
    past: Blocks = field(default_factory=lambda: Blocks.none(FIRST))
    _open: Block = field(default_factory=lambda: Block(np.zeros((FIRST, FIRST))))
    _span: int = 1
    """How many blocks of the window one of the past holds."""
    _filled: int = 0

    def add(
        self, seconds: float, joules: float, bend: float, busy_s: Mapping[Key, float], *, weight: float = 1.0
    ) -> bool:
        """Adds a row, by so much of its own size; says whether that completed a block."""
        for key in busy_s:
            if key not in self.columns:
                self._make_room(key)
        row = np.zeros(FIRST + len(self.columns))
        row[:FIRST] = seconds, joules, bend
        for key, busy in busy_s.items():
            if key in self.columns:
                row[self.columns[key]] = busy
        self._open.gram += weight**2 * np.outer(row, row)
        self._open.rows += 1
        self._open.seconds += seconds
        if self._open.rows < BLOCK_ROWS or self._open.seconds < self.block_s:
            return False
        self._close()
        return True

    def recent(self) -> Block:
        """The sums over the window, the open block included."""
        return (self.window + self._open).total

    def forget_before(self, blocks: int) -> None:
        """Leaves only the newest blocks in the window: something has changed since the others."""
        self.window = self.window[-blocks:]

    def _close(self) -> None:
        closed, self._open = self._open, Block(np.zeros_like(self._open.gram))
        self.window = (self.window + closed)[-self.window_blocks :]
        if not self.past_blocks:
            return
        if self._filled:
            self.past = self.past[:-1] + (self.past[-1:] + closed).total
        else:
            self.past = self.past + closed
        self._filled = (self._filled + 1) % self._span
        if len(self.past) == self.past_blocks and self._filled == 0:
            self.past = self.past.in_pairs()
            self._span *= 2

    def _make_room(self, key: Key) -> None:
        """A column for a model that is new: one more, or that of the model least seen in the window."""
        if len(self.columns) < MODELS_MAX:
            self.columns[key] = FIRST + len(self.columns)
            self.window, self.past = self.window.widened(), self.past.widened()
            self._open.gram = np.pad(self._open.gram, ((0, 1), (0, 1)))
            return
        seen = np.diagonal(self.recent().gram)
        oldest = min(self.columns, key=lambda each: seen[self.columns[each]])
        column = self.columns.pop(oldest)
        self.columns[key] = column
        # Its joules would be taken for others': what it was part of is forgotten altogether.
        self.window, self.past = self.window.without(column), self.past.without(column)
        self._filled = 0
        if self._open.gram[column, column] > 0:
            self._open = Block(np.zeros_like(self._open.gram))
