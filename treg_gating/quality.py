"""Quality control of one tube before any gate: events at the ends of the digitiser's range.

Nothing is deleted: what stays is the population ``clean``, so that its losses stand in the counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from treg_gating.flags import Flag, FlagLevel
from treg_gating.sample import Sample

__all__ = ["QualityReport", "assess"]

WARN_MARGIN_PCT = 1.0
FAIL_MARGIN_PCT = 5.0
_SMALLEST = float(np.finfo(np.float32).tiny)  # a lower bound that zero does not reach
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class QualityReport:
    """What quality control found.

    Parameters
    ----------
    kept : mask of shape (n_events,).
    flags : what a reader must know.
    numbers : percentages by name, of all events.
    margins : raw range low ≤ x < high that an event must lie in, by $PnN.
    """

    kept: NDArray[np.bool_]
    flags: tuple[Flag, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def assess(sample: Sample, channels: Sequence[str]) -> QualityReport:
    """Events of a raw sample that lie inside the instrument's range on every channel that a gate will use.

    An event is at the margin when it reaches $PnR − 1 on any channel, or zero or less on a scatter channel.

    Parameters
    ----------
    sample : raw events. channels : $PnN of the channels the template uses.
    """
    kept = np.ones(sample.n_events, dtype=bool)
    margins = {
        channel.name: (_SMALLEST if channel.is_scatter else -_LARGEST, _LARGEST if top is None else top - 1)
        for channel in sample.channels
        if channel.name in channels and not channel.is_time
        for top in (channel.range,)
    }
    for name, (low, high) in margins.items():
        values = sample.column(name)
        kept &= (values >= low) & (values < high)
    margin = 100 * float(1 - kept.mean()) if sample.n_events else 0.0
    flags: list[Flag] = []
    if margin > WARN_MARGIN_PCT:
        level = FlagLevel.REVIEW if margin > FAIL_MARGIN_PCT else FlagLevel.NOTE
        limit = FAIL_MARGIN_PCT if margin > FAIL_MARGIN_PCT else WARN_MARGIN_PCT
        flags.append(
            Flag("MARGIN", level, f"{margin:.1f} % of events lie at the ends of the range (limit {limit:g} %)")
        )
    return QualityReport(kept, tuple(flags), {"margin_pct": margin}, margins)
