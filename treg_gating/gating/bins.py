"""Events as a sparse histogram, so that time and memory are bounded however many events a tube has.

What is made of bins does not depend on the order of the events, and no event leaves the worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Binned", "bin_events", "merged", "thinned"]

Array = NDArray[np.float64]
DENSE = 1e6  # cells that are counted without sorting


@dataclass(frozen=True, eq=False)
class Binned:
    """A sparse histogram.

    Parameters
    ----------
    points : centres of the occupied bins, shape (n, d), in gate units.
    counts : events per bin, shape (n,).
    """

    points: Array
    counts: Array

    @property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())


def bin_events(events: Array, width: float) -> Binned:
    """Sparse histogram of finite events, shape (n, d), with bins of `width` gate units."""
    finite = events[np.isfinite(events).all(axis=1)]
    cells = np.floor(finite / width).astype(np.int64)
    low = cells.min(axis=0, initial=0)
    spans = cells.max(axis=0, initial=0) - low + 1
    keys = np.ravel_multi_index(tuple((cells - low).T), tuple(spans)) if len(cells) else np.zeros(0, np.int64)
    if np.prod(spans, dtype=float) < DENSE:
        dense = np.bincount(keys)
        unique = np.flatnonzero(dense)
        counts = dense[unique]
    else:
        unique, counts = np.unique(keys, return_counts=True)
    corners = np.column_stack(np.unravel_index(unique, tuple(spans))) + low
    return Binned((corners + 0.5) * width, counts.astype(np.float64))


def merged(data: Binned, width: float) -> Binned:
    """Bins that lie in one cell of `width` gate units as one, at the mean of their events.

    Unlike every n-th bin, all events stay, and so do the means of all populations; what is lost is the spread within a
    cell.
    """
    if not len(data.counts):
        return data
    cells = np.floor(data.points / width).astype(np.int64)
    cells -= cells.min(axis=0)
    keys = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
    unique, cell = np.unique(keys, return_inverse=True)
    counts = np.bincount(cell, data.counts)
    sums = [np.bincount(cell, data.counts * axis, len(unique)) for axis in data.points.T]
    return Binned(np.stack(sums, axis=1) / counts[:, None], counts.astype(np.float64))


def thinned(data: Binned, size: int) -> Binned:
    """At most `size` bins: every n-th in lexicographic order, which depends on nothing but the values."""
    n = len(data.points)
    if n <= size:
        return data
    order = np.lexsort(data.points.T[::-1])
    kept = order[(np.arange(size) * (n / size)).astype(np.intp)]
    return Binned(data.points[kept], data.counts[kept])
