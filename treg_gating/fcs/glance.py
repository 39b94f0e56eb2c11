"""One glance at a chunk of events: what its values, its Time and its bytes show, told to :class:`Checks`.

Every step is one call of numpy over the whole chunk that lets other threads work meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.repeats import Prints, Repeats, fingerprints
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
    words : which words of an event its fingerprint is made of.
    clock_word : which of two neighbouring words is Time as this computer reads it; None where it is none of them.
    """

    floats: Array
    only: bool
    stride: int
    zeros: int
    clock: int | None
    words: tuple[int, ...]
    clock_word: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one chunk of events shows.

    Parameters
    ----------
    low, high : of every decoded column; of a sample where it varies in every column and no value is beyond `LARGEST`.
    nonfinite : NaN and infinite values by column; None where there is none.
    sampled, implausible : how many of the floats were looked at one by one, and how many of them no instrument writes.
    empty : mask of events that are all zeros; None where no run of them can begin or go on.
    time : first and last value of Time, and how often it runs backwards between them; None without Time.
    """

    low: Array
    high: Array
    nonfinite: Array | None
    sampled: int
    implausible: int
    empty: Array | None
    time: tuple[float, float, int] | None


def look(
    interest: Interest, repeats: Repeats | None, first: int, rows: Array, part: Array, kept: Mapping[int, Array]
) -> Look:
    """Look at a chunk.

    Parameters
    ----------
    interest : what is looked for.
    repeats : what keeps the fingerprints of the events; None where repeats are not looked for.
    first : number of the first event in the file.
    rows : as stored, shape (events, bytes). part : as decoded and not yet scaled, shape (columns, events).
    kept : where rows of `part` that will be scaled are to be written as they are.
    """
    harmless = interest.only and _harmless(part)
    time = None if interest.clock is None else kept.get(interest.clock, np.empty(len(rows), part.dtype))
    prints = None
    if repeats is not None:
        word = None if time is None or interest.clock_word is None else (interest.clock_word, time)
        prints = fingerprints(rows, interest.words, word)
        repeats.add(first, prints)
    if time is not None and interest.clock_word is None:
        time[:] = part[interest.clock]
    for row in kept.keys() - {interest.clock}:
        kept[row][:] = part[row]
    sample = part[:, :: interest.stride].copy("K")  # as it lies, so that an event is fetched once
    low, high = column_extremes(sample.T)
    if not (harmless and (low < high).all()):
        low, high = column_extremes(part.T)
    finite = np.isfinite(low.sum() + high.sum())
    floats = sample if interest.only else sample[interest.floats]
    return Look(
        low,
        high,
        None if finite else np.count_nonzero(~np.isfinite(part), axis=1),
        floats.size,
        _implausible(floats, beyond=not harmless),
        None if _no_zero_run(rows, interest.zeros, prints) else np.asarray(~rows.any(axis=1)),
        None if time is None else _direction(time),
    )


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
    too_large = np.count_nonzero(~(size <= LARGEST)) if beyond else 0
    small = np.count_nonzero(size < SMALLEST)
    return int(too_large + (small - np.count_nonzero(size == 0) if small else 0))


def _no_zero_run(rows: Array, every: int, prints: Prints | None) -> bool:
    """Whether no run of so many events of zeros lies in these, nor a shorter one at either end.

    One in so many is looked at, the first and the last. Mostly one number of each says already that it is not all
    zeros: its fingerprint, or its last word.
    """
    telling: Array | None = prints
    if telling is None and rows.shape[1] % 4 == 0 and rows.flags.c_contiguous:
        telling = rows.view(np.uint32)[:, -1]
    if telling is not None and telling[0] and telling[-1] and np.minimum.reduce(telling[::every]):
        return True
    return bool(rows[0].any() and rows[-1].any() and rows[::every].any(axis=1).all())


def _direction(time: Array) -> tuple[float, float, int]:
    """First and last value, and the steps backwards between them."""
    return float(time[0]), float(time[-1]), int(np.count_nonzero(time[1:] < time[:-1]))
