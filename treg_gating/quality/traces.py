"""What is followed over the stretches of a tube, and in which of them it goes too far."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.quality.scores import Scores
from treg_gating.smoothing import middle

__all__ = ["COMMON_SHIFT", "Traces", "follow_rate", "follow_signals", "runs"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

NOISE_LIMIT = 5.0  # SD of a stretch's own noise that a change must exceed
GROW = 0.65  # once found, a disturbed stretch reaches as far as the change exceeds this share of its limit
COMMON_SHIFT = 0.045  # decades, all fluorescence or all scatter together
OWN_SHIFT = 0.10  # decades, one channel
OWN_SPREAD = 0.5  # of the width that a channel's information stands for; a broad negative peak may wander that far
OWN_RUN = 3  # stretches; the many traces of single channels are not all quiet
OWN_RANK = 0.15  # mean rank of one channel; 0.5 is all above the tube's largest value
RATE_FACTOR = 2.5  # of the rate around it
RATE_LONGEST = 0.2  # share of the events: a rate that stays longer was chosen so
FAR = 1e300  # seconds
TICKS = 10  # a stretch must last so many steps of the clock for its rate to be known


@dataclass(frozen=True, eq=False)
class Traces:
    """Things of one kind that are followed over the stretches, and how far is too far.

    Parameters
    ----------
    names : of each. unit : in words.
    values : shape (traces, stretches). limits : shape (traces,).
    shortest : stretches; a shorter run does not count.
    """

    names: Sequence[str]
    values: Values
    limits: Values
    unit: str = "decades"
    shortest: int = 1

    def disturbed(self) -> Mask:
        """By trace, stretches that belong to a run which exceeds the limit somewhere and `GROW` of it everywhere."""
        size = np.abs(self.values)
        result = np.zeros(size.shape, dtype=bool)
        for trace in np.flatnonzero(size.max(axis=1) > self.limits):  # mostly none
            for run in runs(size[trace] > GROW * self.limits[trace]):
                if run.stop - run.start >= self.shortest:
                    result[trace, run] = size[trace, run].max() > self.limits[trace]
        return result

    def beyond(self, run: slice) -> list[tuple[float, str]]:
        """Of the traces that exceed their limit in a run: how many times, and the largest value in words."""
        inside = self.values[:, run]
        most = inside[np.arange(len(inside)), np.abs(inside).argmax(axis=1)]
        times = np.abs(most) / self.limits
        return [
            (float(times[i]), f"{self.names[i]} {most[i]:+.2f} {self.unit}")
            for i in map(int, np.flatnonzero(times > 1))
        ]


def follow_signals(
    scores: Scores, names: Sequence[str], kinds: Mapping[str, Sequence[int]], rows: Rows, edges: Rows
) -> tuple[Traces, Traces, Traces]:
    """The common shift of each kind of light; every channel's own shift; and its mean rank.

    Parameters
    ----------
    names : of the channels of `scores`. kinds : by kind of light, which of these channels.
    rows, edges : the events, and where they are cut into stretches.
    """
    shifts, ranks = scores.shifts_and_ranks(rows, edges)
    weights = scores.information  # what each channel knows of a shift that all share
    shared = np.array([weights[of] @ shifts[of] / weights[of].sum() for of in map(list, kinds.values())])
    values = _smooth(_centred(np.concatenate([shared, shifts, ranks])))
    own = np.maximum(OWN_SHIFT, OWN_SPREAD / np.sqrt(weights))
    tolerances = np.concatenate([[COMMON_SHIFT] * len(shared), own, [OWN_RANK] * len(ranks)])
    limits = _limits(values, tolerances)
    parts = np.split(np.arange(len(values)), np.cumsum([len(shared), len(shifts)]))
    common, shift, rank = ((values[part], limits[part]) for part in parts)
    return (
        Traces([f"all {kind}" for kind in kinds], *common),
        Traces(names, *shift, shortest=OWN_RUN),
        Traces(names, *rank, "of its rank", OWN_RUN),
    )


def follow_rate(ascending: Values, edges: Rows) -> tuple[Values, Traces | None]:
    """Events per second in each stretch, and its trace against the rate around it.

    None in its place where the clock is not fine enough, or where the rate nowhere differs from any other by as much as
    the trace may.
    """
    times = ascending[np.minimum(edges, len(ascending) - 1)]
    spans = np.diff(times)
    smallest = (ascending[-1] - ascending[0]) * 1e-9
    if spans.min() <= 0:  # else none is shorter than a tick
        smallest = max(smallest, _tick(ascending))
    rate = np.diff(edges) / np.maximum(spans, smallest)
    logs = _smooth(np.log2(rate))
    if logs.max() - logs.min() <= np.log2(RATE_FACTOR) or middle(spans) < TICKS * max(smallest, _tick(ascending)):
        return rate, None
    values = (logs - _running_median(logs, max(3, len(logs) // 2)))[np.newaxis]
    trace = Traces(["rate"], values, _limits(values, np.log2([RATE_FACTOR])), "doublings")
    for run in runs(trace.disturbed()[0]):
        if run.stop - run.start > RATE_LONGEST * len(logs):
            values[0, run] = 0.0
    return rate, trace


def _tick(ascending: Values) -> float:
    """The smallest step of the clock that is not 0."""
    steps = np.diff(ascending)
    return float((steps + FAR * (steps == 0)).min())


def runs(mask: Mask) -> list[slice]:
    """Runs of True."""
    ends = np.flatnonzero(np.diff(mask, prepend=False, append=False)).tolist()
    return [slice(*run) for run in zip(ends[::2], ends[1::2], strict=True)]


def _limits(values: Values, tolerances: Values) -> Values:
    """The tolerance of each trace, or what its noise asks for.

    The noise, as SD, is told by neighbours that share no stretch after smoothing, so that slow changes do not count.
    """
    deviations = np.abs(_centred(values[:, 3:] - values[:, :-3]))
    result: Values = np.maximum(tolerances, NOISE_LIMIT * (1.4826 * middle(deviations) / np.sqrt(2)))
    return result


def _centred(values: Values) -> Values:
    return values - middle(values)[..., np.newaxis]


def _smooth(values: Values) -> Values:
    """Running median of three: it takes out single stretches and keeps edges where they are."""
    before = np.concatenate([values[..., :1], values[..., :-1]], axis=-1)
    after = np.concatenate([values[..., 1:], values[..., -1:]], axis=-1)
    low, high = np.minimum(before, after), np.maximum(before, after)
    result: Values = np.minimum(np.maximum(values, low), high)
    return result


def _running_median(values: Values, width: int) -> Values:
    """By a window whose values are kept in order."""
    half = width // 2
    around = np.pad(values, half, mode="edge").tolist()
    window = sorted(around[: 2 * half + 1])
    found = [window[half]]
    for gone, come in zip(around, around[2 * half + 1 :], strict=False):
        del window[bisect_left(window, gone)]
        insort(window, come)
        found.append(window[half])
    return np.array(found)
