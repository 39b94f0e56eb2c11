"""One glance at a chunk of events: what its values, its Time and its bytes show, told to :class:`Checks`.

A chunk comes in blocks, and each is looked at while it is in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.repeats import Prints, fingerprints

__all__ = ["LARGEST", "SMALLEST", "Glance", "Interest", "Look"]

Array = NDArray[Any]

LARGEST = 1e15  # magnitude of a value that an instrument writes
SMALLEST = 1e-20  # and of one that is not 0
FOLD = 64  # events


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
    words : which words of an event its fingerprint is made of; None where repeats are not looked for.
    """

    floats: Array
    only: bool
    stride: int
    zeros: int
    clock: int | None
    words: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one chunk of events shows.

    Parameters
    ----------
    low, high : of every decoded column; of a sample where it varies in every column and no value is beyond `LARGEST`.
    nonfinite : NaN and infinite values by column; None where there is none.
    sampled, implausible : how many of the floats were looked at one by one, and how many of them no instrument writes.
    empty : by block, mask of events that are all zeros; None where no run of them can begin or go on.
    time : first and last value of Time, and how often it runs backwards between them; None without Time.
    """

    low: Array
    high: Array
    nonfinite: Array | None
    sampled: int
    implausible: int
    empty: tuple[Array | None, ...]
    time: tuple[float, float, int] | None


class Glance:
    """Looks at one chunk of `n` events, block by block.

    Parameters
    ----------
    interest : what is looked for.
    n : number of events.
    kind : type of the decoded values.

    Attributes
    ----------
    prints : fingerprints of the events; None where repeats are not looked for.
    """

    def __init__(self, interest: Interest, n: int, kind: np.dtype[Any]) -> None:
        self._interest = interest
        self._done = 0
        self._harmless = interest.only
        self._empty: list[Array | None] = []
        self._time = None if interest.clock is None else np.empty(n, kind)
        self.prints = None if interest.words is None else np.empty(n, np.uint64)

    def take(self, rows: Array, part: Array) -> None:
        """Look at the next block.

        Parameters
        ----------
        rows : as stored, shape (events, bytes). part : as decoded and not yet scaled, shape (columns, events).
        """
        interest, at = self._interest, slice(self._done, self._done + len(rows))
        self._done = at.stop
        prints = None
        if self.prints is not None and interest.words is not None:
            prints = self.prints[at]
            fingerprints(rows, interest.words, prints)
        if self._time is not None:
            self._time[at] = part[interest.clock]
        self._harmless = self._harmless and _harmless(part)
        shown = _no_zero_run(rows, interest.zeros, prints)
        self._empty.append(None if shown else np.asarray(~rows.any(axis=1)))

    def look(self, part: Array) -> Look:
        """What the blocks show, and `part`, all of them as decoded."""
        sample = part[:, :: self._interest.stride].copy()
        low, high = sample.min(axis=1), sample.max(axis=1)
        if not (self._harmless and (low < high).all()):
            low, high = _extremes(part)
        finite = np.isfinite(low.sum() + high.sum())
        floats = sample if self._interest.only else sample[self._interest.floats]
        return Look(
            low,
            high,
            None if finite else np.count_nonzero(~np.isfinite(part), axis=1),
            floats.size,
            _implausible(floats, beyond=not self._harmless),
            tuple(self._empty),
            None if self._time is None else _direction(self._time),
        )


def _folded(part: Array) -> list[Array]:
    """Events as long rows, which the processor goes through many at a time, and the last ones; none where few."""
    events = part.T
    whole = len(events) // FOLD * FOLD
    if not whole or not events.flags.c_contiguous:
        return []
    folded = events[:whole].reshape(-1, FOLD * len(part))
    return [folded] if whole == len(events) else [folded, events[whole:].reshape(1, -1)]


def _harmless(part: Array) -> bool:
    """Whether no value is NaN, infinite or beyond `LARGEST`; a no may be wrong. Sums of squares tell.

    Rounded, such a sum is still no less than any of its terms.
    """
    values = part.T.reshape(-1) if part.T.flags.c_contiguous else part
    return bool((np.vecdot(values, values) < LARGEST**2 / 2).all())


def _implausible(values: Array, *, beyond: bool) -> int:
    """How many values are no numbers, too large (only asked `beyond`), or too small without being 0."""
    size = np.abs(values)
    too_large = np.count_nonzero(~(size <= LARGEST)) if beyond else 0
    small = np.count_nonzero(size < SMALLEST)
    return int(too_large + (small - np.count_nonzero(size == 0) if small else 0))


def _extremes(part: Array) -> tuple[Array, Array]:
    """Smallest and largest value of every column, `part` of shape (columns, events); NaN where there is one."""
    if not (halves := _folded(part)):
        return part.min(axis=1), part.max(axis=1)
    lows = [half.min(axis=0).reshape(-1, len(part)).min(axis=0) for half in halves]
    highs = [half.max(axis=0).reshape(-1, len(part)).max(axis=0) for half in halves]
    return np.minimum(lows[0], lows[-1]), np.maximum(highs[0], highs[-1])


def _no_zero_run(rows: Array, every: int, prints: Prints | None) -> bool:
    """Whether no run of so many events of zeros lies in these, nor a shorter one at either end.

    One in so many is looked at, the first and the last. Mostly one number of each says already that it is not all
    zeros: its fingerprint, or its last word.
    """
    telling: Array | None = prints
    if telling is None and rows.shape[1] % 4 == 0 and rows.flags.c_contiguous:
        telling = rows.view(np.uint32)[:, -1]
    if telling is not None and telling[0] and telling[-1] and telling[::every].all():
        return True
    return bool(rows[0].any() and rows[-1].any() and rows[::every].any(axis=1).all())


def _direction(time: Array) -> tuple[float, float, int]:
    """First and last value, and the steps backwards between them."""
    return float(time[0]), float(time[-1]), int(np.count_nonzero(time[1:] < time[:-1]))
