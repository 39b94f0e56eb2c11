"""Events at the ends of the digitiser's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from treg_gating.sample import Sample

__all__ = ["inside", "raw_ranges", "shares_at_ends"]

Ranges = Mapping[str, tuple[float, float]]

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


def inside(sample: Sample, ranges: Ranges) -> NDArray[np.bool_]:
    """Events inside all ranges, shape (n_events,)."""
    kept = np.ones(sample.n_events, dtype=bool)
    for name, (low, high) in ranges.items():
        values = sample.column(name)
        kept &= (values >= low) & (values < high)
    return kept


def shares_at_ends(sample: Sample, ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Percent of events at the lowest value of each channel, where several share it, and beyond its top."""
    if not sample.n_events:
        return {}
    shares: dict[str, tuple[float, float]] = {}
    for name, (_, high) in ranges.items():
        values = sample.column(name)
        low = int(np.count_nonzero(values == values.min()))
        top = int(np.count_nonzero(values >= high))
        n = sample.n_events
        shares[name] = (100 * low / n if low > 1 else 0.0, 100 * top / n)
    return shares
