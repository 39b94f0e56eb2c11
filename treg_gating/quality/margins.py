"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.folding import Extremes
from treg_gating.sample import Sample, StoredEvents

__all__ = ["look_at_ends", "raw_ranges"]

Ranges = Mapping[str, tuple[float, float]]
Array = NDArray[Any]

MANY = 100  # parts; where more reach a limit, the whole column is looked at
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
    sample: Sample, events: StoredEvents, ranges: Ranges, columns: Mapping[str, Array] | None = None
) -> tuple[NDArray[np.bool_], dict[str, tuple[float, float]]]:
    """Events inside all ranges, and how many lie at the ends of each channel.

    Parameters
    ----------
    sample : the tube. events : raw, those of the channels of `ranges` on a linear scale.
    ranges : as :func:`raw_ranges` gives them.
    columns : by $PnN, columns of these events that lie together in memory, shape (n_events,), where there are such.

    Returns
    -------
    Mask of shape (n_events,). By $PnN, percent of events at the lowest value, where several share it, and beyond the
    top.
    """
    n, names = sample.n_events, list(ranges)
    kept = np.ones(n, dtype=bool)
    if not n:
        return kept, {}
    table, extremes = events.values, events.extremes
    if extremes is None:
        extremes = Extremes()
        extremes.take(0, table)
    numbers = [sample.index(name) for name in names]
    least, most = (values[:, numbers] for values in extremes.by_part(len(sample.channels)))
    lower, upper = np.array(list(ranges.values()), table.dtype).reshape(-1, 2).T
    lowest = least.min(axis=0)  # NaN where there is one
    reached, at_lowest = ~((least >= lower) & (most < upper)), ~(least > lowest)
    shares: dict[str, tuple[float, float]] = {}
    for i, name in enumerate(names):
        values = (columns or {}).get(name, table[:, numbers[i]])
        if np.count_nonzero(reached[:, i]) > MANY:  # all of them are looked at, several times
            values = np.ascontiguousarray(values)
        beyond = 0
        for part in _those(reached[:, i], extremes):
            over = values[part] >= upper[i]
            kept[part] &= ~over
            if not lowest[i] >= lower[i]:
                kept[part] &= values[part] >= lower[i]
            beyond += int(np.count_nonzero(over))
        value = np.fmin.reduce(values) if np.isnan(lowest[i]) else lowest[i]
        alike = sum(int(np.count_nonzero(values[part] == value)) for part in _those(at_lowest[:, i], extremes))
        shares[name] = (100 * (alike if alike > 1 else 0) / n, 100 * beyond / n)
    return kept, shares


def _those(wanted: NDArray[np.bool_], extremes: Extremes) -> list[slice]:
    """The events of some parts, or all at once where they are many."""
    found = np.flatnonzero(wanted).tolist()
    return [extremes.rows_of(part) for part in found] if len(found) <= MANY else [slice(None)]
