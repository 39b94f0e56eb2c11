"""Tables of events that lie one after another in memory, looked at many rows at a time.

A row of a few numbers is too short for the processor's wide instructions. Many rows, read as one long row, are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_extremes", "column_least", "reaching"]

Array = NDArray[Any]

FOLD = 128  # rows that are read as one


def column_extremes(table: Array) -> tuple[Array, Array]:
    """Smallest and largest value of every column of a table, shape (n, columns) with n > 0; NaN where there is one."""
    return column_least(table), _reduced(table, np.maximum)


def column_least(table: Array) -> Array:
    """The smallest alone."""
    return _reduced(table, np.minimum)


def _reduced(table: Array, function: np.ufunc) -> Array:
    width = table.shape[1]
    parts = [function.reduce(part, axis=0).reshape(-1, width) for part in _folded(table)]
    return np.asarray(function.reduce(np.concatenate(parts), axis=0))


def reaching(table: Array, limits: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the values that are no less than their column's limit, shape (columns,); NaN for no limit."""
    width, before, found = table.shape[1], 0, [np.empty(0, np.intp)]
    for part in _folded(table):
        most = np.fmax.reduce(part, axis=0, initial=-np.inf).reshape(-1, width)  # NaN hides no other value
        places = np.flatnonzero(most >= limits)  # few: only there is every value looked at
        if len(places):
            over = part.take(places, axis=1, mode="clip") >= limits[places % width]
            row, place = np.divmod(np.flatnonzero(over), len(places))
            found.append(row * part.shape[1] + places[place] + before)
        before += part.size
    rows, columns = np.divmod(np.concatenate(found), width)
    return rows, columns


def _folded(table: Array) -> list[Array]:
    """The rows as long rows, and the last ones; as they are where they do not lie one after another."""
    whole = len(table) // FOLD * FOLD
    if not whole or not table.flags.c_contiguous:
        return [table]
    folded = table[:whole].reshape(-1, FOLD * table.shape[1])
    return [folded] if whole == len(table) else [folded, table[whole:].reshape(1, -1)]
