"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.folding import column_least, reaching
from treg_gating.sample import Sample

__all__ = ["look_at_ends", "raw_ranges"]

Ranges = Mapping[str, tuple[float, float]]
Array = NDArray[Any]
Rows = NDArray[np.intp]

CHUNK = 1 << 13  # events that stay in the processor's cache
_SMALLEST = float(np.finfo(np.float32).tiny)  # a lower bound that zero does not reach
_LARGEST = float(np.finfo(np.float32).max)


def raw_ranges(sample: Sample, channels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Range low ≤ x < high by $PnN: below $PnR − 1 on every channel, above zero on scatter; time is left out."""
    return {
        channel.name: (
            _SMALLEST if channel.is_scatter else -_LARGEST,
            _LARGEST if channel.range is None else min(channel.range - 1, _LARGEST),
        )
        for channel in sample.channels
        if channel.name in channels and not channel.is_time
    }


def look_at_ends(
    sample: Sample, events: NDArray[np.floating[Any]], ranges: Ranges
) -> tuple[NDArray[np.bool_], dict[str, tuple[float, float]]]:
    """Events inside all ranges, and how many lie at the ends of each channel.

    Parameters
    ----------
    sample : the tube. events : raw, those of the channels of `ranges` on a linear scale.
    ranges : as :func:`raw_ranges` gives them.

    Returns
    -------
    Mask of shape (n_events,). By $PnN, percent of events at the lowest value, where several share it, and beyond the
    top.
    """
    n, columns = sample.n_events, [sample.channel_names.index(name) for name in ranges]
    kept = np.ones(n, dtype=bool)
    if not n:
        return kept, {}
    lower, upper = np.array(list(ranges.values()), dtype=events.dtype).reshape(-1, 2).T
    tops = np.full(len(sample.channels), np.nan, events.dtype)  # all are looked at, because they lie together
    tops[columns] = upper

    def look(first: int) -> tuple[Array, Rows]:
        """The lowest value of each column, and the columns of values beyond the top; `kept` loses their events."""
        some, inside = events[first : first + CHUNK], kept[first : first + CHUNK]
        over, of = reaching(some, tops)
        inside[over] = False
        return column_least(some), of

    starts = range(0, n, CHUNK)
    seen = [look(first) for first in starts]
    least = np.array([values for values, _ in seen])[:, columns]
    for chunk, row in zip(*np.nonzero(~(least >= lower)), strict=True):  # few, or no number among them
        part = slice(starts[chunk], starts[chunk] + CHUNK)
        values = events[part, columns[row]]
        kept[part] &= (values >= lower[row]) & (values < upper[row])
        least[chunk, row] = np.fmin.reduce(values)
    beyond = np.bincount(np.concatenate([of for _, of in seen]), minlength=len(tops))[columns]
    lowest = np.fmin.reduce(least, axis=0)
    at_lowest = np.zeros(len(columns))
    for chunk, row in zip(*np.nonzero(least == lowest), strict=True):
        first, column = starts[chunk], columns[row]
        at_lowest[row] += np.count_nonzero(events[first : first + CHUNK, column] == lowest[row])
    at_lowest[at_lowest == 1] = 0
    shares = 100 * np.stack([at_lowest, beyond], axis=1) / n
    return kept, {name: (float(low), float(top)) for name, (low, top) in zip(ranges, shares, strict=True)}
