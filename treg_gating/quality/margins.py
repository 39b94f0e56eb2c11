"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.sample import Sample
from treg_gating.threads import side_by_side

__all__ = ["look_at_ends", "raw_ranges"]

Ranges = Mapping[str, tuple[float, float]]
Values = NDArray[np.float64]

CHUNK = 1 << 12  # events
STRETCH = 1 << 16  # events that are worth a turn of a thread
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

    def look(first: int) -> tuple[Values, Values, Values]:
        part = slice(first, first + STRETCH)
        return _look(sample.events[part], columns, limits, kept[part])

    found = side_by_side(look, range(0, n, STRETCH))
    leasts, counts, tops = (np.array(values) for values in zip(*found, strict=True))
    lowest = np.fmin.reduce(leasts, axis=0)
    at_lowest = np.where(leasts == lowest, counts, 0).sum(axis=0)
    at_lowest[at_lowest == 1] = 0
    shares = 100 * np.stack([at_lowest, tops.sum(axis=0)], axis=1) / n
    return kept, {name: (float(low), float(top)) for name, (low, top) in zip(ranges, shares, strict=True)}


def _look(
    events: NDArray[np.floating[Any]], columns: Sequence[int], limits: NDArray[Any], kept: NDArray[np.bool_]
) -> tuple[Values, Values, Values]:
    """The lowest value of each column, events that have it, and events beyond the top; `kept` loses what is outside."""
    n, (lower, upper) = len(events), limits
    lowest, at_lowest, beyond = np.full(len(columns), np.inf), np.zeros(len(columns)), np.zeros(len(columns))
    block = np.empty((len(columns), min(n, CHUNK)), events.dtype)
    for first in range(0, n, CHUNK):  # some events at a time, so that all looks at them find them in the cache
        part = slice(first, min(first + CHUNK, n))
        here = block[:, : part.stop - first]
        for row, column in enumerate(columns):
            here[row] = events[part, column]
        least, greatest = np.fmin.reduce(here, axis=1), here.max(axis=1)
        for row in map(int, np.flatnonzero(~((least >= lower) & (greatest < upper)))):
            kept[part] &= (here[row] >= lower[row]) & (here[row] < upper[row])
            beyond[row] += np.count_nonzero(here[row] >= upper[row])
        for row in map(int, np.flatnonzero(least <= lowest)):
            at_lowest[row] *= least[row] == lowest[row]
            at_lowest[row] += np.count_nonzero(here[row] == least[row])
        lowest = np.fmin(lowest, least)
    return lowest, at_lowest, beyond
