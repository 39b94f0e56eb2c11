"""Quality control of one tube before any gate: the ends of the digitiser's range, then time and flow rate.

Nothing is deleted: what stays is the population ``clean``, so that its losses stand in the counts. All of it is done in
one thread: the second one is busy with the sha256 of the file meanwhile, and to share it takes longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.flags import Flag, FlagLevel
from treg_gating.quality.margins import look_at_ends, raw_ranges
from treg_gating.quality.time import TimeQuality, assess_time
from treg_gating.sample import Sample, StoredEvents

__all__ = ["QualityReport", "assess"]

WARN_MARGIN_PCT = 1.0
FAIL_MARGIN_PCT = 5.0
REVIEW_TIME_PCT = 20.0
FAIL_TIME_PCT = 50.0
NOTE_FLOOR_PCT = 5.0
DEAD_PCT = 99.0  # of the events at the lowest value: the detector measured nothing


@dataclass(frozen=True, eq=False)
class QualityReport:
    """What quality control found; small enough to be stored, so that a tube is looked at once.

    Parameters
    ----------
    bits : one bit an event, as :func:`numpy.packbits` packs them: whether it is kept. n_events : how many there are.
    flags : what a reader must know.
    numbers : percentages by name, of all events: ``margin_pct``; ``time_removed_pct`` where Time could be used.
    margins : raw range low ≤ x < high that an event must lie in, by $PnN.
    ends : percent of events at the lowest value and beyond the top, by $PnN.
    removed : removed stretches of time (first, last second), ascending. causes : of each, what was seen.
    timeline : small arrays to draw: ``seconds`` (n + 1 edges), and by stretch ``rate`` (events per second),
        ``fluorescence`` and ``scatter`` (shift against the tube, decades), ``removed`` (0 or 1). Empty without Time.
    """

    bits: NDArray[np.uint8]
    n_events: int
    flags: tuple[Flag, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    removed: tuple[tuple[float, float], ...] = ()
    causes: tuple[str, ...] = ()
    timeline: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Mask of shape (n_events,)."""
        return np.unpackbits(self.bits, count=self.n_events).view(np.bool_)


def assess(
    sample: Sample,
    channels: Sequence[str],
    events: StoredEvents | None = None,
    columns: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> QualityReport:
    """Events of a raw sample inside the instrument's range on every channel a gate will use, and not disturbed.

    An event is at the margin when it reaches $PnR − 1 on any channel, or zero or less on a scatter channel. Of the
    others, those go that came while the stream was disturbed (:func:`treg_gating.quality.time.assess_time`).

    Parameters
    ----------
    sample : raw events. channels : $PnN of the channels the template uses.
    events : of the sample, where it has none itself; those of `channels` on a linear scale.
    columns : by $PnN, columns of these events that lie together in memory, shape (n_events,), where there are such.
    """
    events = events or StoredEvents.of(sample)
    ranges = raw_ranges(sample, channels)
    usable, ends = look_at_ends(sample, events, ranges, columns)
    time = assess_time(sample, events, channels, usable)
    kept = usable & time.kept if time.stretches else usable
    n = max(1, sample.n_events)
    inside, left = (float(np.count_nonzero(mask) / n) for mask in (usable, kept))
    margin = 100 * (1 - inside) if sample.n_events else 0.0
    numbers = {"margin_pct": margin}
    if not time.reason:
        numbers["time_removed_pct"] = 100 * (inside - left)
    flags = (*_margin_flags(margin), *_floor_flags(sample, ends), *_time_flags(time, numbers.get("time_removed_pct")))
    seen = (flags, numbers, ranges, ends, time.stretches, time.causes, time.timeline)
    return QualityReport(np.packbits(kept), len(kept), *seen)


def _margin_flags(margin: float) -> list[Flag]:
    if margin <= WARN_MARGIN_PCT:
        return []
    level = FlagLevel.REVIEW if margin > FAIL_MARGIN_PCT else FlagLevel.NOTE
    limit = FAIL_MARGIN_PCT if margin > FAIL_MARGIN_PCT else WARN_MARGIN_PCT
    return [Flag("MARGIN", level, f"{margin:.1f} % of events lie at the ends of the range (limit {limit:g} %)")]


def _floor_flags(sample: Sample, ends: Mapping[str, tuple[float, float]]) -> list[Flag]:
    """A digitiser that cuts a negative peak off hides its spread from every gate set on it; a dead one hides all."""
    light = [channel.name for channel in sample.channels if not channel.is_scatter and channel.name in ends]
    flags = []
    if dead := [f"{name} ({ends[name][0]:.1f} %)" for name in light if ends[name][0] > DEAD_PCT]:
        text = (
            f"nearly all events have one and the same value on {', '.join(dead)} (limit {DEAD_PCT:g} %): not measured"
        )
        flags.append(Flag("DETECTOR_DEAD", FlagLevel.REVIEW, text))
    if cut := [f"{name} {ends[name][0]:.1f} %" for name in light if NOTE_FLOOR_PCT < ends[name][0] <= DEAD_PCT]:
        text = f"events pile up at the lowest value of {', '.join(cut)} (limit {NOTE_FLOOR_PCT:g} %)"
        flags.append(Flag("DIGITISER_FLOOR", FlagLevel.NOTE, text))
    return flags


def _time_flags(time: TimeQuality, removed: float | None) -> list[Flag]:
    flags = [Flag("CLOCK", FlagLevel.NOTE, note) for note in time.notes]
    if removed is None:
        return [*flags, Flag("NO_TIME_QC", FlagLevel.NOTE, f"time and flow rate were not looked at: {time.reason}")]
    if not time.stretches:
        return flags
    level, limit = FlagLevel.NOTE, ""
    if removed > REVIEW_TIME_PCT:
        failed = removed > FAIL_TIME_PCT
        level = FlagLevel.FAIL if failed else FlagLevel.REVIEW
        limit = f" (limit {FAIL_TIME_PCT if failed else REVIEW_TIME_PCT:g} %)"
    said = "; ".join(
        f"{first:.4g} to {last:.4g} s: {cause}"
        for (first, last), cause in list(zip(time.stretches, time.causes, strict=True))[:4]
    )
    more = f"; and {len(time.stretches) - 4} more" if len(time.stretches) > 4 else ""
    return [
        *flags,
        Flag("TIME", level, f"{removed:.1f} % of events removed by time and flow rate{limit}: {said}{more}"),
    ]
