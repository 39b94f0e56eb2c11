"""Tables of events that lie one after another in memory, looked at many rows at a time.

A row of a few numbers is too short for the processor's wide instructions. Many rows, read as one long row, are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLD", "column_extremes", "long_rows"]

Array = NDArray[Any]

FOLD = 128  # rows that are read as one


def column_extremes(table: Array) -> tuple[Array, Array]:
    """Smallest and largest value of every column of a table, shape (n, columns) with n > 0; NaN where there is one."""
    return _reduced(table, np.minimum), _reduced(table, np.maximum)


def _reduced(table: Array, function: np.ufunc) -> Array:
    long, rest = long_rows(table)
    parts = [function.reduce(long).reshape(-1, table.shape[1])] if len(long) else []
    return np.asarray(function.reduce(np.concatenate([*parts, rest]) if parts else rest))


def long_rows(table: Array) -> tuple[Array, Array]:
    """The rows as long rows, `FOLD` in each, and the last ones, fewer than that, as they are.

    Where rows do not lie one after another, all are left as they are.
    """
    whole = len(table) // FOLD * FOLD if table.flags.c_contiguous else 0
    return table[:whole].reshape(-1, FOLD * table.shape[1]), table[whole:]
