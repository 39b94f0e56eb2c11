"""One glance at a chunk of events: what its values, its Time and its bytes show, told to :class:`Checks`.

Every step is one call of numpy over the whole chunk that lets other threads work meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.repeats import Repeats
from treg_gating.fcs.ticks import Ticks
from treg_gating.folding import column_extremes

__all__ = ["LARGEST", "SMALLEST", "Interest", "Look", "look"]

Array = NDArray[Any]

LARGEST = 1e15  # magnitude of a value that an instrument writes
SMALLEST = 1e-20  # and of one that is not 0


@dataclass(frozen=True, slots=True)
class Interest:
    """What is looked for.

    Parameters
    ----------
    floats : rows of the decoded columns that are stored as floats.
    only : whether all values of an event are.
    stride : one event in so many is kept as a sample.
    zeros : events of zeros in a row that must not be overlooked.
    clock : row of Time among the decoded columns, None without Time.
    """

    floats: Array
    only: bool
    stride: int
    zeros: int
    clock: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one chunk of events shows.

    Parameters
    ----------
    extremes : lowest and highest value of every decoded column; None where every column varies and no value is beyond
        `LARGEST`.
    nonfinite : NaN and infinite values by column; None where there is none.
    sampled, implausible : how many of the floats were looked at one by one, and how many of them no instrument writes.
    empty : mask of events that are all zeros; None where no run of them can begin or go on.
    time : first and last value of Time, and how often it runs backwards between them; None without Time.
    """

    extremes: tuple[Array, Array] | None
    nonfinite: Array | None
    sampled: int
    implausible: int
    empty: Array | None
    time: tuple[float, float, int] | None


def look(
    interest: Interest,
    repeats: Repeats | Ticks | None,
    first: int,
    rows: Array,
    part: Array,
    kept: Mapping[int, Array],
    ends: tuple[float, float] | None = None,
) -> Look:
    """Look at a chunk.

    Parameters
    ----------
    interest : what is looked for.
    repeats : what looks for them; None where they are not looked for.
    first : number of the first event in the file.
    rows : as stored, shape (events, bytes). part : as decoded and not yet scaled, shape (columns, events).
    kept : where rows of `part` that will be scaled are to be written as they are.
    ends : lowest and highest of all values of `part`, NaN where there is one; None where nobody looked.
    """
    if ends is None:
        harmless = interest.only and _harmless(part)
    else:
        harmless = interest.only and ends[0] > -LARGEST and ends[1] < LARGEST
    sample = part[:, :: interest.stride].copy("K")  # as it lies, so that an event is fetched once
    time = None if interest.clock is None else kept.get(interest.clock)
    if time is None and interest.clock is not None:
        time = np.empty(len(rows), part.dtype)
    telling = None if repeats is None else repeats.take(first, rows, time)
    if time is not None and not (repeats is not None and repeats.tells_time):
        time[:] = part[interest.clock]
    for row in kept.keys() - {interest.clock}:
        kept[row][:] = part[row]
    extremes = None if harmless and _varies(sample) else column_extremes(part.T)
    finite = extremes is None or np.isfinite(extremes[0].sum() + extremes[1].sum())
    floats = sample if interest.only else sample[interest.floats]
    return Look(
        extremes,
        None if finite else np.count_nonzero(~np.isfinite(part), axis=1),
        floats.size,
        _implausible(floats, beyond=not harmless),
        None if _no_zero_run(rows, interest.zeros, telling) else np.asarray(~rows.any(axis=1)),
        None if time is None else _direction(time),
    )


def _varies(sample: Array) -> bool:
    """Whether no column has but one value; told by two events where they differ in all."""
    if (sample[:, 0] != sample[:, -1]).all():
        return True
    low, high = column_extremes(sample.T)
    return bool((low < high).all())


def _harmless(part: Array) -> bool:
    """Whether no value is NaN, infinite or beyond `LARGEST`; a no may be wrong. Sums of squares tell.

    Rounded, such a sum is still no less than any of its terms.
    """
    events = part.T
    if events.flags.c_contiguous:
        values = events.reshape(-1)
        return bool(np.dot(values, values) < LARGEST**2 / 2)  # unlike vecdot, it lets other threads work meanwhile
    return bool((np.vecdot(part, part) < LARGEST**2 / 2).all())


def _implausible(values: Array, *, beyond: bool) -> int:
    """How many values are no numbers, too large (only asked `beyond`), or too small without being 0."""
    size = np.abs(values)
    if not beyond and size.min(initial=np.inf) >= SMALLEST:
        return 0
    too_large = np.count_nonzero(~(size <= LARGEST)) if beyond else 0
    small = np.count_nonzero(size < SMALLEST)
    return int(too_large + (small - np.count_nonzero(size == 0) if small else 0))


def _no_zero_run(rows: Array, every: int, telling: Array | None) -> bool:
    """Whether no run of so many events of zeros lies in these, nor a shorter one at either end.

    One in so many is looked at, the first and the last. Mostly one number of each says already that it is not all
    zeros: what looks for repeats knows one, or its last word.
    """
    if telling is None and rows.shape[1] % 4 == 0 and rows.flags.c_contiguous:
        telling = rows.view(np.uint32)[:, -1]
    if telling is not None and telling[0] and telling[-1] and np.minimum.reduce(telling[::every]):
        return True
    return bool(rows[0].any() and rows[-1].any() and rows[::every].any(axis=1).all())


def _direction(time: Array) -> tuple[float, float, int]:
    """First and last value, and the steps backwards between them."""
    return float(time[0]), float(time[-1]), int(np.count_nonzero(time[1:] < time[:-1]))
