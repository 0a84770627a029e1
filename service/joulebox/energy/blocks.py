"""Sums of squares and products over stretches of time, many of them in one array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joulebox.energy.weights import Floats


@dataclass
class Block:
    """The sums over some rows."""

    gram: Floats
    """[columns, columns]."""
    rows: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Blocks:
    """Of one stretch after the other."""

    grams: Floats
    """[blocks, columns, columns]."""
    rows: Floats
    seconds: Floats

    @classmethod
    def none(cls, columns: int) -> Blocks:
        return cls(np.zeros((0, columns, columns)), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice) -> Blocks:
        return Blocks(self.grams[which], self.rows[which], self.seconds[which])

    def __add__(self, block: Block) -> Blocks:
        """With one more, the newest."""
        return Blocks(
            np.concatenate([self.grams, block.gram[None]]),
            np.append(self.rows, block.rows),
            np.append(self.seconds, block.seconds),
        )

    @property
    def total(self) -> Block:
        """The sums over all."""
        return Block(self.grams.sum(axis=0), int(self.rows.sum()), float(self.seconds.sum()))

    @property
    def each_left_out(self) -> list[Block]:
        """The sums over all but one, for each."""
        every = self.total
        rest = zip(every.gram - self.grams, every.rows - self.rows, every.seconds - self.seconds, strict=True)
        return [Block(gram, int(rows), float(seconds)) for gram, rows, seconds in rest]

    def in_pairs(self) -> Blocks:
        """Each two neighbours as one."""
        every_other = np.arange(0, len(self), 2)
        return Blocks(
            np.add.reduceat(self.grams, every_other, axis=0),
            np.add.reduceat(self.rows, every_other),
            np.add.reduceat(self.seconds, every_other),
        )

    def widened(self) -> Blocks:
        """With a column for one more model."""
        return Blocks(np.pad(self.grams, ((0, 0), (0, 1), (0, 1))), self.rows, self.seconds)

    def without(self, column: int) -> Blocks:
        """Those in which nothing was in that column."""
        kept = self.grams[:, column, column] == 0
        return Blocks(self.grams[kept], self.rows[kept], self.seconds[kept])
