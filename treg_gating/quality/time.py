"""Time and flow rate: stretches of a tube in which the stream was disturbed.

A tube's events, in order of time, are cut into stretches of equally many. Each stretch is compared with the tube as a
whole: the common shift of all fluorescence and of all scatter, every channel's own shift, every channel's mean rank
(which sees what a shift cannot describe, such as a signal that is gone), and the rate of events. What counts is the
size of the change, not how significant it is: with many events every tube differs from itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.quality.scores import ChannelScores, channel_scores
from treg_gating.sample import Sample
from treg_gating.smoothing import middle
from treg_gating.threads import side_by_side

__all__ = ["TimeQuality", "assess_time"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Found = tuple[float, float, str]  # first and last second, cause
Followed = dict[str, dict[str, ChannelScores]]  # by kind of light, by channel
_Seen = tuple[float, Values, Values]  # of a channel: its information; shift and mean rank of each stretch

MIN_EVENTS = 1_200  # below it a tube is too short to be compared with itself
MAX_STRETCHES = 600
ENOUGH_EVENTS = 100_000  # of a larger tube every second, third, ... event is followed
SMALLEST_STRETCH = 30  # events
FEWEST_STRETCHES = 40
NOISE_LIMIT = 5.0  # SD of a stretch's own noise that a change must exceed
GROW = 0.65  # once found, a disturbed stretch reaches as far as the change exceeds this share of its limit
COMMON_SHIFT = 0.045  # decades, all fluorescence or all scatter together
OWN_SHIFT = 0.10  # decades, one channel
OWN_SPREAD = 0.5  # of the width that a channel's information stands for; a broad negative peak may wander that far
OWN_RUN = 3  # stretches; the many traces of single channels are not all quiet
OWN_RANK = 0.15  # mean rank of one channel; 0.5 is all above the tube's largest value
RATE_FACTOR = 2.5  # of the rate around it
RATE_LONGEST = 0.2  # share of the events: a rate that stays longer was chosen so
CHUNK = 1 << 12  # events
TICKS = 10  # a stretch must last so many steps of the clock for its rate to be known


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
class _Trace:
    """One thing that is followed over the stretches: its values, and how far is too far."""

    name: str
    values: Values
    limit: float
    unit: str = "decades"
    shortest: int = 1  # a shorter run does not count

    def disturbed(self) -> Mask:
        """Stretches that belong to a run which exceeds the limit somewhere and `GROW` of it everywhere."""
        return _runs_reaching(np.abs(self.values), self.limit, GROW * self.limit, self.shortest)

    def at(self, run: slice) -> str:
        """The largest value in a run, in words."""
        inside = self.values[run]
        return f"{self.name} {inside[np.argmax(np.abs(inside))]:+.2f} {self.unit}"


def assess_time(sample: Sample, channels: Sequence[str], usable: Mask) -> TimeQuality:
    """Find disturbed stretches of time.

    Parameters
    ----------
    sample : raw events.
    channels : $PnN of the channels to follow; time and the height and width of scatter are passed over.
    usable : mask of shape (n_events,): events inside the instrument's range; the others are not looked at.

    Notes
    -----
    Which events go is decided by their time alone, so that it does not depend on their order in the file.
    """
    everything = np.ones(sample.n_events, dtype=bool)
    clock = next((channel.name for channel in sample.channels if channel.is_time), None)
    if clock is None:
        return TimeQuality(everything, "no Time channel")
    ticks = np.ascontiguousarray(sample.column(clock))
    if not np.isfinite(ticks).all() or ticks.size == 0 or ticks.min() == ticks.max():
        return TimeQuality(everything, "the Time channel says nothing")
    ordered = bool((ticks[1:] >= ticks[:-1]).all())
    seconds, notes = (ticks, ()) if ordered else _unwrapped(ticks.astype(np.float64))
    rows = np.flatnonzero(usable)
    if len(rows) < MIN_EVENTS:
        return TimeQuality(everything, f"{len(rows)} events are too few (limit {MIN_EVENTS})", notes=notes)
    if not ordered and (np.diff(seconds[rows]) < 0).any():
        rows = rows[np.argsort(seconds[rows], kind="stable")]
    every = max(1, len(rows) // ENOUGH_EVENTS)
    followed = _followed(sample, channels, rows[::every])
    if not any(followed.values()):
        return TimeQuality(everything, "no channel to follow over time", notes=notes)
    found, timeline = _search(np.append(seconds[rows[::every]], seconds[rows[-1]]).astype(np.float64), followed)
    timeline["rate"] *= every
    found = _joined(found)
    kept = everything
    for first, last, _ in found:
        exact = np.asarray(seconds, dtype=np.float64)  # as the ends of the stretches are
        kept &= (exact < first) | (exact >= last)
    centres = (timeline["seconds"][1:] + timeline["seconds"][:-1]) / 2
    timeline["removed"] = np.any([(centres >= a) & (centres < b) for a, b, _ in found] or [centres < -np.inf], axis=0)
    return TimeQuality(
        kept,
        stretches=tuple((first, last) for first, last, _ in found),
        causes=tuple(cause for _, _, cause in found),
        timeline={name: np.asarray(values, dtype=np.float32) for name, values in timeline.items()},
        notes=notes,
    )


def _unwrapped(seconds: Values) -> tuple[Values, tuple[str, ...]]:
    """Time without the jumps of a clock that ran over."""
    drops = np.flatnonzero(np.diff(seconds) < -0.5 * (seconds.max() - seconds.min()))
    if not 0 < len(drops) <= 3:
        return seconds, ()
    steps = np.zeros(seconds.size)
    steps[drops + 1] = seconds[drops] - seconds[drops + 1]
    return seconds + np.cumsum(steps), (f"the clock starts again {len(drops)} times; its times are joined",)


def _followed(sample: Sample, channels: Sequence[str], rows: Rows) -> Followed:
    """Scores by kind of light and by channel."""
    kinds: Followed = {"fluorescence": {}, "scatter": {}}
    wanted = [
        (at, channel)
        for at, channel in enumerate(sample.channels)
        if channel.name in channels
        and not channel.is_time
        and not (channel.is_scatter and channel.name.upper().endswith(("-H", "-W")))
    ]
    columns = np.empty((len(wanted), len(rows)), sample.events.dtype)
    for first in range(0, len(rows), CHUNK):  # a file's events lie one by one: each is met once
        events = sample.events.take(rows[first : first + CHUNK], axis=0)
        for row, (at, _) in enumerate(wanted):
            columns[row, first : first + CHUNK] = events[:, at]
    for (_, channel), scores in zip(wanted, side_by_side(channel_scores, list(columns)), strict=True):
        if scores is not None:
            kinds["scatter" if channel.is_scatter else "fluorescence"][channel.name] = scores
    return kinds


def _search(times_and_end: Values, followed: Followed) -> tuple[list[Found], dict[str, Values]]:
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
        edges = np.linspace(0, len(rows), count + 1).astype(np.intp)
        times = ascending[rows][edges[:-1]]
        times = np.append(times, end if rows[-1] == len(ascending) - 1 else np.nextafter(ascending[rows[-1]], np.inf))
        seen = {kind: _seen(scores, rows, edges) for kind, scores in followed.items() if scores}
        common = {kind: _common(here) for kind, here in seen.items()}
        rate, trace = _rate(ascending[rows], edges)
        if not timeline:
            timeline = {"seconds": times, "rate": rate, **common}
        traces = [*_traces(common, seen), *([] if trace is None else [trace])]
        for run in _runs(_disturbed(traces, count)):
            found.append((float(times[run.start]), float(times[run.stop]), _cause(run, traces)))
            alive &= (ascending < found[-1][0]) | (ascending >= found[-1][1])
        enough = max(_noise(values) for values in common.values()) * NOISE_LIMIT <= COMMON_SHIFT
        count //= 2
        if enough or count < FEWEST_STRETCHES or alive.sum() < MIN_EVENTS:
            return found, timeline


def _disturbed(traces: Sequence[_Trace], count: int) -> Mask:
    """Stretches in which any trace goes too far, and their neighbours: a disturbance begins somewhere inside one."""
    bad = np.zeros(count + 2, dtype=bool)
    for trace in traces:
        bad[1:-1] |= trace.disturbed()
    result: Mask = bad[1:-1] | bad[2:] | bad[:-2]
    return result


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


def _seen(scores: Mapping[str, ChannelScores], rows: Rows, edges: Rows) -> dict[str, _Seen]:
    def look(one: ChannelScores) -> _Seen:
        return one.information, *one.shifts_and_ranks(rows, edges)

    return dict(zip(scores, side_by_side(look, list(scores.values())), strict=True))


def _common(seen: Mapping[str, _Seen]) -> Values:
    """Shift that all channels share, weighted by what each of them knows of it; its own middle is zero."""
    weights = np.array([information for information, _, _ in seen.values()])
    shifts = np.array([shift for _, shift, _ in seen.values()])
    values: Values = weights @ shifts / weights.sum()
    return _smooth(values - middle(values))


def _traces(common: Mapping[str, Values], seen: Mapping[str, Mapping[str, _Seen]]) -> list[_Trace]:
    traces = [_Trace(f"all {kind}", values, _limit(values, COMMON_SHIFT)) for kind, values in common.items()]
    for name, (information, shift, rank) in [item for here in seen.values() for item in here.items()]:
        shift, rank = _smooth(shift - middle(shift)), _smooth(rank - middle(rank))
        own = max(OWN_SHIFT, OWN_SPREAD / float(np.sqrt(information)))
        traces.append(_Trace(name, shift, _limit(shift, own), shortest=OWN_RUN))
        traces.append(_Trace(name, rank, _limit(rank, OWN_RANK), "of its rank", OWN_RUN))
    return traces


def _limit(values: Values, tolerance: float) -> float:
    return max(tolerance, NOISE_LIMIT * _noise(values))


def _noise(values: Values) -> float:
    """SD of the noise of a smoothed trace, from neighbours that share no stretch: slow changes do not count."""
    steps = values[3:] - values[:-3]
    return float(1.4826 * middle(np.abs(steps - middle(steps))) / np.sqrt(2)) if steps.size else 0.0


def _smooth(values: Values) -> Values:
    """Running median of three: it takes out single stretches and keeps edges where they are."""
    before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    low, high = np.minimum(before, after), np.maximum(before, after)
    result: Values = np.minimum(np.maximum(values, low), high)
    return result


def _rate(ascending: Values, edges: Rows) -> tuple[Values, _Trace | None]:
    """Events per second in each stretch, and its trace against the rate around it, where the clock is fine enough."""
    times = ascending[np.minimum(edges, len(ascending) - 1)]
    spans = np.diff(times)
    steps = np.diff(ascending)
    tick = float(steps[steps > 0].min()) if (steps > 0).any() else np.inf
    smallest = max(tick, (ascending[-1] - ascending[0]) * 1e-9)
    rate = np.diff(edges) / np.maximum(spans, smallest)
    if np.median(spans) < TICKS * smallest:
        return rate, None
    logs = _smooth(np.log2(rate))
    around = _running_median(logs, max(3, len(logs) // 2))
    trace = _Trace("rate", logs - around, _limit(logs - around, float(np.log2(RATE_FACTOR))), "doublings")
    values = trace.values.copy()
    for run in _runs(trace.disturbed()):
        if run.stop - run.start > RATE_LONGEST * len(logs):
            values[run] = 0.0
    return rate, replace(trace, values=values)


def _running_median(values: Values, width: int) -> Values:
    around = np.pad(values, width // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * (width // 2) + 1)
    result: Values = np.partition(windows, width // 2, axis=-1)[:, width // 2]
    return result


def _runs_reaching(size: Values, limit: float, floor: float, shortest: int) -> Mask:
    result = size > floor
    for run in _runs(result):
        result[run] = run.stop - run.start >= shortest and bool((size[run] > limit).any())
    return result


def _runs(mask: Mask) -> list[slice]:
    """Runs of True."""
    steps = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return [slice(int(a), int(b)) for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)]


def _cause(run: slice, traces: Sequence[_Trace]) -> str:
    """The traces that exceed their limit in a run, the farthest first; at most three."""
    inside = [(float(np.abs(trace.values[run]).max() / trace.limit), trace) for trace in traces]
    over = sorted((item for item in inside if item[0] > 1), key=lambda item: -item[0])
    return ", ".join(trace.at(run) for _, trace in over[:3])
