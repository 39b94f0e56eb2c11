"""Time and flow rate: stretches of a tube in which the stream was disturbed.

A tube's events, in order of time, are cut into stretches of equally many. Each stretch is compared with the tube as a
whole: the common shift of all fluorescence and of all scatter, every channel's own shift, every channel's mean rank
(which sees what a shift cannot describe, such as a signal that is gone), and the rate of events. What counts is the
size of the change, not how significant it is: with many events every tube differs from itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.quality.scores import Scores, levels_of, scores_of
from treg_gating.quality.traces import COMMON_SHIFT, Traces, follow_rate, follow_signals, runs
from treg_gating.sample import Sample, StoredEvents

__all__ = ["TimeQuality", "assess_time", "every_of"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Found = tuple[float, float, str]  # first and last second, cause

MIN_EVENTS = 1_200  # below it a tube is too short to be compared with itself
MAX_STRETCHES = 600
ENOUGH_EVENTS = 100_000  # of a larger tube every second, third, ... event is followed
SMALLEST_STRETCH = 30  # events
FEWEST_STRETCHES = 40
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class TimeQuality:
    """What the order of time says of a tube.

    Parameters
    ----------
    kept : mask of shape (n_events,) in the order of the file.
    reason : why nothing could be said; empty where it could.
    stretches : removed stretches (first, last second; first included, last not), ascending.
    causes : of each of these, what was seen, in words and numbers.
    timeline : arrays for a drawing: ``seconds`` (n + 1 edges), and by stretch ``rate`` (events per second),
        ``fluorescence`` and ``scatter`` (common shift, decades), ``removed`` (0 or 1).
    notes : what is odd about the clock.
    """

    kept: Mask
    reason: str = ""
    stretches: tuple[tuple[float, float], ...] = ()
    causes: tuple[str, ...] = ()
    timeline: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Followed:
    """The channels that are followed: their scores, their names, and which of them are of each kind of light."""

    scores: Scores
    names: Sequence[str]
    kinds: Mapping[str, Sequence[int]]


def assess_time(sample: Sample, events: StoredEvents, channels: Sequence[str], usable: Mask) -> TimeQuality:
    """Find disturbed stretches of time.

    Parameters
    ----------
    sample : the tube. events : raw, those of `channels` on a linear scale.
    channels : $PnN of the channels to follow; time and the height and width of scatter are passed over.
    usable : mask of shape (n_events,): events inside the instrument's range; the others are not looked at.

    Notes
    -----
    Which events go is decided by their time alone, so that it does not depend on their order in the file.
    """
    everything, ticks = np.ones(sample.n_events, dtype=bool), events.seconds
    if ticks is None:
        return TimeQuality(everything, "no Time channel")
    ordered = bool((ticks[1:] >= ticks[:-1]).all())  # then the first and the last say all, and NaN is none of them
    told = ticks[[0, -1]] if ordered and ticks.size else ticks
    if not np.isfinite(told).all() or told.size == 0 or told.min() == told.max():
        return TimeQuality(everything, "the Time channel says nothing")
    seconds, notes = (ticks, ()) if ordered else _unwrapped(ticks.astype(np.float64))
    n = int(np.count_nonzero(usable))
    if n < MIN_EVENTS:
        return TimeQuality(everything, f"{n} events are too few (limit {MIN_EVENTS})", notes=notes)
    every = max(1, n // ENOUGH_EVENTS)
    rows, last = every_of(usable, every) if ordered else _in_time(usable, every, seconds)
    followed = _followed(sample, events.values, channels, rows)
    if not followed.names:
        return TimeQuality(everything, "no channel to follow over time", notes=notes)
    found, timeline = _search(np.append(seconds.take(rows), seconds[last]).astype(np.float64), followed)
    timeline["rate"] *= every
    found = _joined(found)
    kept = everything
    for begin, end, _ in found:
        exact = np.asarray(seconds, dtype=np.float64)  # as the ends of the stretches are
        kept &= (exact < begin) | (exact >= end)
    centres = (timeline["seconds"][1:] + timeline["seconds"][:-1]) / 2
    timeline["removed"] = np.any([(centres >= a) & (centres < b) for a, b, _ in found] or [centres < -np.inf], axis=0)
    return TimeQuality(
        kept,
        stretches=tuple((first, last) for first, last, _ in found),
        causes=tuple(cause for _, _, cause in found),
        timeline={name: np.clip(values, -LARGEST, LARGEST).astype(np.float32) for name, values in timeline.items()},
        notes=notes,
    )


def every_of(mask: Mask, every: int) -> tuple[Rows, int]:
    """Rows of every so many of the events in a mask, which has some, the first of them first; row of the last of all.

    Told by the few that are not in it, without a list of all that are.
    """
    gaps = np.flatnonzero(~mask)
    before = gaps - np.arange(len(gaps))  # events of the mask before each
    n = len(mask) - len(gaps)
    followed = -(-n // every)
    steps = np.bincount(-(-before // every), minlength=followed)[:followed]  # gaps between each and the one before it
    steps += every
    rows = np.cumsum(steps, out=steps)
    rows -= every
    return rows, n - 1 + int(np.count_nonzero(before < n))


def _in_time(mask: Mask, every: int, seconds: NDArray[np.floating[Any]]) -> tuple[Rows, int]:
    """The same in order of time."""
    rows = np.flatnonzero(mask)
    if (np.diff(seconds[rows]) < 0).any():
        rows = rows[np.argsort(seconds[rows], kind="stable")]
    return rows[::every], int(rows[-1])


def _unwrapped(seconds: Values) -> tuple[Values, tuple[str, ...]]:
    """Time without the jumps of a clock that ran over."""
    drops = np.flatnonzero(np.diff(seconds) < -0.5 * (seconds.max() - seconds.min()))
    if not 0 < len(drops) <= 3:
        return seconds, ()
    steps = np.zeros(seconds.size)
    steps[drops + 1] = seconds[drops] - seconds[drops + 1]
    return seconds + np.cumsum(steps), (f"the clock starts again {len(drops)} times; its times are joined",)


def _followed(sample: Sample, values: NDArray[np.floating[Any]], channels: Sequence[str], rows: Rows) -> _Followed:
    wanted = [
        at
        for at, channel in enumerate(sample.channels)
        if channel.name in channels
        and not channel.is_time
        and not (channel.is_scatter and channel.name.upper().endswith(("-H", "-W")))
    ]
    scores, varying = scores_of(levels_of(values, wanted, rows))
    here = [sample.channels[wanted[i]] for i in varying]
    kinds = {"fluorescence": False, "scatter": True}
    of_kind = {
        kind: [i for i, channel in enumerate(here) if channel.is_scatter is is_so] for kind, is_so in kinds.items()
    }
    return _Followed(scores, [channel.name for channel in here], {kind: of for kind, of in of_kind.items() if of})


def _search(times_and_end: Values, followed: _Followed) -> tuple[list[Found], dict[str, Values]]:
    """Disturbed stretches, and the timeline, from the times of the events that are followed and the last of all.

    Short stretches of events find what is strong and say well where it begins; longer ones find, in what is left,
    what is weak.
    """
    ascending, end = times_and_end[:-1], np.nextafter(times_and_end[-1], np.inf)
    alive = np.ones(len(ascending), dtype=bool)
    count = min(MAX_STRETCHES, len(ascending) // SMALLEST_STRETCH)
    found: list[Found] = []
    timeline: dict[str, Values] = {}
    while True:
        rows = np.flatnonzero(alive)
        here = ascending if len(rows) == len(ascending) else ascending[rows]
        edges = np.linspace(0, len(rows), count + 1).astype(np.intp)
        last = end if rows[-1] == len(ascending) - 1 else np.nextafter(here[-1], np.inf)
        times = np.append(here[edges[:-1]], last)
        common, *own = follow_signals(followed.scores, followed.names, followed.kinds, rows, edges)
        rate, trace = follow_rate(here, edges)
        if not timeline:
            timeline = {"seconds": times, "rate": rate, **dict(zip(followed.kinds, common.values, strict=True))}
        traces = [common, *own, *([] if trace is None else [trace])]
        for run in runs(_disturbed(traces, count)):
            found.append((float(times[run.start]), float(times[run.stop]), _cause(run, traces)))
            alive &= (ascending < found[-1][0]) | (ascending >= found[-1][1])
        enough = (common.limits <= COMMON_SHIFT).all()  # so little noise that what matters was seen
        count //= 2
        if enough or count < FEWEST_STRETCHES or alive.sum() < MIN_EVENTS:
            return found, timeline


def _disturbed(traces: Sequence[Traces], count: int) -> Mask:
    """Stretches in which any trace goes too far, and their neighbours: a disturbance begins somewhere inside one."""
    bad = np.zeros(count + 2, dtype=bool)
    for several in traces:
        bad[1:-1] |= several.disturbed().any(axis=0)
    result: Mask = bad[1:-1] | bad[2:] | bad[:-2]
    return result


def _cause(run: slice, traces: Sequence[Traces]) -> str:
    """The traces that exceed their limit in a run, the farthest first; at most three."""
    over = sorted((item for several in traces for item in several.beyond(run)), key=lambda item: -item[0])
    return ", ".join(words for _, words in over[:3])


def _joined(found: Sequence[Found]) -> list[Found]:
    """Stretches in order of time, those that touch or overlap as one."""
    joined: list[Found] = []
    for first, last, cause in sorted(found):
        if joined and first <= joined[-1][1]:
            begin, end, before = joined[-1]
            joined[-1] = (begin, max(end, last), "; ".join(dict.fromkeys([before, cause])))
        else:
            joined.append((first, last, cause))
    return joined
