"""Events as a sparse histogram, so that time and memory are bounded however many events a tube has.

What is made of bins does not depend on the order of the events, and no event leaves the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Binned", "bin_events", "bounded", "merged"]

Array = NDArray[np.float64]
DENSE = 1e6  # cells that are counted without sorting


@dataclass(frozen=True, eq=False)
class Binned:
    """A sparse histogram.

    Parameters
    ----------
    points : centres of the occupied bins, shape (n, d), in gate units.
    counts : events per bin, shape (n,).
    width : of the cells whose events stand at their mean, gate units; 0 where the bins are taken for points.
    """

    points: Array
    counts: Array
    width: float = 0.0

    @property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())


def bin_events(events: NDArray[np.floating[Any]], width: float) -> Binned:
    """Sparse histogram of finite events, shape (n, d), with bins of `width` gate units."""
    finite = np.isfinite(events)
    events = events if finite.all() else events[finite.all(axis=1)]
    keys = np.zeros(len(events), np.int64)
    lows, spans = [], []
    for axis in events.T:
        cells = np.floor(axis / width)
        lows.append(int(cells.min()) if len(cells) else 0)
        spans.append(int(cells.max()) - lows[-1] + 1 if len(cells) else 1)
        keys *= spans[-1]
        keys += cells.astype(np.int64)
        keys -= lows[-1]
    if np.prod(spans, dtype=float) < DENSE:
        dense = np.bincount(keys)
        unique = np.flatnonzero(dense)
        counts = dense[unique]
    else:
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        unique, counts = keys[first], np.diff(first, append=len(keys))
    corners = np.stack(np.unravel_index(unique, tuple(spans)), axis=1) + np.array(lows)
    return Binned((corners + 0.5) * width, counts.astype(np.float64))


def merged(data: Binned, width: float) -> Binned:
    """Bins that lie in one cell of `width` gate units as one, at the mean of their events.

    All events stay, and so do the means of all populations; what is lost is the spread within a cell.
    """
    if not len(data.counts):
        return data
    cells = np.floor(data.points / width).astype(np.int64)
    cells -= cells.min(axis=0)
    keys = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
    unique, cell = np.unique(keys, return_inverse=True)
    counts = np.bincount(cell, data.counts)
    sums = [np.bincount(cell, data.counts * axis, len(unique)) for axis in data.points.T]
    return Binned(np.stack(sums, axis=1) / counts[:, None], counts.astype(np.float64), width)


def bounded(data: Binned, most: int, width: float) -> Binned:
    """At most `most` bins: merged into cells of the least multiple of `width` gate units that makes so few of them."""
    few, times = data, 1
    while len(few.counts) > most:
        times += 1
        few = merged(few, times * width)
    return few
