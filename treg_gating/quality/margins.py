"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.folding import column_least, reaching
from treg_gating.sample import Sample
from treg_gating.threads import side_by_side

__all__ = ["look_at_ends", "raw_ranges"]

Ranges = Mapping[str, tuple[float, float]]
Values = NDArray[np.float64]

CHUNK = 1 << 14  # events that stay in the processor's cache
_SMALLEST = float(np.finfo(np.float32).tiny)  # a lower bound that zero does not reach
_LARGEST = float(np.finfo(np.float32).max)


def raw_ranges(sample: Sample, channels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Range low ≤ x < high by $PnN: below $PnR − 1 on every channel, above zero on scatter; time is left out."""
    return {
        channel.name: (
            _SMALLEST if channel.is_scatter else -_LARGEST,
            _LARGEST if channel.range is None else channel.range - 1,
        )
        for channel in sample.channels
        if channel.name in channels and not channel.is_time
    }


def look_at_ends(sample: Sample, ranges: Ranges) -> tuple[NDArray[np.bool_], dict[str, tuple[float, float]]]:
    """Events inside all ranges, and how many lie at the ends of each channel.

    Returns
    -------
    Mask of shape (n_events,). By $PnN, percent of events at the lowest value, where several share it, and beyond the
    top.
    """
    n, columns = sample.n_events, [sample.channel_names.index(name) for name in ranges]
    kept = np.ones(n, dtype=bool)
    if not n or not columns:
        return kept, {}
    limits = np.array(list(ranges.values()), dtype=sample.events.dtype).T

    def look(first: int) -> tuple[Values, Values]:
        part = slice(first, first + CHUNK)
        return _look(sample.events[part], columns, limits, kept[part])

    starts = range(0, n, CHUNK)
    least, beyond = (np.array(values) for values in zip(*side_by_side(look, starts), strict=True))
    lowest = np.fmin.reduce(least, axis=0)
    at_lowest = np.zeros(len(columns))
    for chunk, row in zip(*np.nonzero(least == lowest), strict=True):
        first, column = starts[chunk], columns[row]
        at_lowest[row] += np.count_nonzero(sample.events[first : first + CHUNK, column] == lowest[row])
    at_lowest[at_lowest == 1] = 0
    shares = 100 * np.stack([at_lowest, beyond.sum(axis=0)], axis=1) / n
    return kept, {name: (float(low), float(top)) for name, (low, top) in zip(ranges, shares, strict=True)}


def _look(
    events: NDArray[np.floating[Any]], columns: Sequence[int], limits: NDArray[Any], kept: NDArray[np.bool_]
) -> tuple[Values, Values]:
    """The lowest value of each column, and events beyond the top; `kept` loses what is outside.

    Looked at are all channels of the file, because they lie together; limits of NaN let the others pass.
    """
    lower, upper = limits
    tops = np.full(events.shape[1], np.nan, events.dtype)
    tops[columns] = upper
    over, of = reaching(events, tops)
    kept[over] = False
    least = column_least(events)[columns]
    for row in map(int, np.flatnonzero(~(least >= lower))):  # few, or no number among them
        values = events[:, columns[row]]
        kept &= (values >= lower[row]) & (values < upper[row])
        least[row] = np.fmin.reduce(values)
    return least, np.bincount(of, minlength=len(tops))[columns].astype(np.float64)
