"""Tables of events that lie one after another in memory, looked at many rows at a time.

A row of a few numbers is too short for the processor's wide instructions. Many rows, read as one long row, are not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Extremes", "column_extremes"]

Array = NDArray[Any]

FOLD = 128  # rows that are read as one
CHUNK = 1 << 13  # rows that stay in the processor's cache
APART = 16  # rows of a chunk that lie so far apart are one part of it


def column_extremes(table: Array) -> tuple[Array, Array]:
    """Smallest and largest value of every column of a table, shape (n, columns) with n > 0; NaN where there is one."""
    return _reduced(table, np.minimum), _reduced(table, np.maximum)


def _reduced(table: Array, function: np.ufunc) -> Array:
    long, rest = _long_rows(table)
    parts = [function.reduce(long).reshape(-1, table.shape[1])] if len(long) else []
    return np.asarray(function.reduce(np.concatenate([*parts, rest]) if parts else rest))


def _long_rows(table: Array) -> tuple[Array, Array]:
    """The rows as long rows, `FOLD` in each, and the last ones, fewer than that, as they are.

    Where rows do not lie one after another, all are left as they are.
    """
    whole = len(table) // FOLD * FOLD if table.flags.c_contiguous else 0
    return table[:whole].reshape(-1, FOLD * table.shape[1]), table[whole:]


class Extremes:
    """Lowest and highest value of each column in parts of the rows, which may come in any order, in several threads."""

    channels: Collection[str] = ()  # nobody has to scale any for it

    def __init__(self) -> None:
        self._found: list[tuple[int, int, Array, Array]] = []

    def take(self, first: int, table: Array) -> tuple[float, float]:
        """Look at the rows from the number `first` on, shape (n, columns); their lowest and highest value of all.

        NaN where there is one.
        """
        width, found = APART * table.shape[1], []
        for begin in range(0, len(table), CHUNK):
            long, rest = _long_rows(table[begin : begin + CHUNK])
            end = begin + len(long) * FOLD
            if len(long):
                least = np.minimum.reduce(np.minimum.reduce(long).reshape(-1, width))
                most = np.maximum.reduce(np.maximum.reduce(long).reshape(-1, width))  # they are in the cache now
                found.append((first + begin, first + end, least, most))
            if len(rest):  # few: they count for each of their parts
                least, most = (np.tile(function.reduce(rest), APART) for function in (np.minimum, np.maximum))
                found.append((first + end, first + end + len(rest), least, most))
        self._found += found
        _, _, least, most = zip(*found, strict=True)
        return float(np.array(least).min()), float(np.array(most).max())

    def by_part(self, columns: int) -> tuple[Array, Array]:
        """Lowest and highest values, each of shape (parts, columns); NaN where there is one."""
        _, _, least, most = zip(*self._found, strict=True)
        return np.array(least).reshape(-1, columns), np.array(most).reshape(-1, columns)

    def rows_of(self, part: int) -> slice:
        """The rows of a part."""
        first, last, *_ = self._found[part // APART]
        return slice(first + part % APART, last, APART)
