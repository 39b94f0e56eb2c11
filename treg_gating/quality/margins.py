"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.folding import FOLD, long_rows
from treg_gating.sample import Sample

__all__ = ["Extremes", "look_at_ends", "raw_ranges"]

Ranges = Mapping[str, tuple[float, float]]
Array = NDArray[Any]

CHUNK = 1 << 13  # events that stay in the processor's cache
APART = 16  # events of a chunk that lie so far apart are one part: where it reaches a limit, its values are looked at
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


class Extremes:
    """Lowest and highest value of each channel in parts of the events, which may come in any order, in several threads.

    Parameters
    ----------
    channels : $PnN of those that are asked for.
    """

    def __init__(self, channels: Iterable[str] = ()) -> None:
        self.channels = frozenset(channels)
        self._found: list[tuple[int, int, Array, Array]] = []

    def take(self, first: int, events: Array) -> None:
        """Look at the events from the number `first` on, shape (n, channels)."""
        width = APART * events.shape[1]
        for begin in range(first, first + len(events), CHUNK):
            long, rest = long_rows(events[begin - first : begin - first + CHUNK])
            end = begin + len(long) * FOLD
            if len(long):
                least = np.minimum.reduce(np.minimum.reduce(long).reshape(-1, width))
                most = np.maximum.reduce(np.maximum.reduce(long).reshape(-1, width))  # they are in the cache now
                self._found.append((begin, end, least, most))
            if len(rest):  # few: they count for each of their parts
                least, most = (np.tile(function.reduce(rest), APART) for function in (np.minimum, np.maximum))
                self._found.append((end, end + len(rest), least, most))

    def by_part(self, channels: int) -> tuple[Array, Array]:
        """Lowest and highest values, each of shape (parts, channels); NaN where there is one."""
        _, _, least, most = zip(*self._found, strict=True)
        return np.array(least).reshape(-1, channels), np.array(most).reshape(-1, channels)

    def events_of(self, part: int) -> slice:
        """The events of a part."""
        first, last, *_ = self._found[part // APART]
        return slice(first + part % APART, last, APART)


def look_at_ends(
    sample: Sample,
    events: Array,
    ranges: Ranges,
    extremes: Extremes | None = None,
    columns: Mapping[str, Array] | None = None,
) -> tuple[NDArray[np.bool_], dict[str, tuple[float, float]]]:
    """Events inside all ranges, and how many lie at the ends of each channel.

    Parameters
    ----------
    sample : the tube. events : raw, those of the channels of `ranges` on a linear scale.
    ranges : as :func:`raw_ranges` gives them.
    extremes : what all of these events have shown already.
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
    if extremes is None:
        extremes = Extremes()
        extremes.take(0, events)
    numbers = [sample.index(name) for name in names]
    least, most = (values[:, numbers] for values in extremes.by_part(len(sample.channels)))
    lower, upper = np.array(list(ranges.values()), events.dtype).reshape(-1, 2).T
    lowest = least.min(axis=0)  # NaN where there is one
    reached, at_lowest = ~((least >= lower) & (most < upper)), ~(least > lowest)
    shares: dict[str, tuple[float, float]] = {}
    for i, name in enumerate(names):
        values = (columns or {}).get(name, events[:, numbers[i]])
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
    return [extremes.events_of(part) for part in found] if len(found) <= MANY else [slice(None)]
