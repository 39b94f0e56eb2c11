"""Stretches of events that occur twice, in a file whose Time never runs backwards: within one tick of the clock only.

Events that are the same have the same Time, and so have all events between them. A repeat therefore lies in a run of
equal Times that is longer than the repeat. Most files have few such runs or none, and short ones; in them one event in
so many is compared with those behind it, which finds every repeat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from treg_gating.fcs.repeats import MOST, SEEN, Prints, runs_around, word_pairs
from treg_gating.threads import side_by_side

__all__ = ["Ticks", "ticking_words"]

FARTHEST = 256  # events; where longer runs share a tick, comparing fingerprints takes less time
PARTS = 4  # that are looked at in threads
VARIETY = SEEN // 2  # marks that differ among the first events

Array = NDArray[Any]


class Ticks:
    """Keeps a mark an event, beside Time, and finds two places within a tick where the same marks follow each other.

    Parameters
    ----------
    n : number of events.
    run : consecutive equal events that count as a repeat.
    word : the first of two neighbouring words, one of which is Time as this computer reads it.
    clock_word : which of the two Time is.
    quarter : which 16 bits of the two, not of Time, are the mark.
    """

    tells_time = True

    def __init__(self, n: int, run: int, word: int, clock_word: int, quarter: int) -> None:
        self._marks = np.zeros(n + FARTHEST, np.uint16)
        self._n, self._run, self._word, self._clock_word, self._quarter = n, run, word, clock_word, quarter

    def take(self, first: int, rows: NDArray[np.uint8], time: Array | None) -> Prints:
        """Take events as they are stored, from `first`, and write their Time; several threads may, in any order.

        Returns
        -------
        Numbers that are 0 for events of zeros.
        """
        pairs = word_pairs(rows, self._word)
        if time is not None:
            time[:] = pairs.view(np.float32)[self._clock_word :: 2]
        self._marks[first : first + len(rows)] = pairs.view(np.uint16)[self._quarter :: 4]
        return pairs

    def candidates(self, time: Array) -> list[tuple[int, int]] | None:
        """First events of two runs with equal marks, to be compared in full; None where there are too many of them.

        Parameters
        ----------
        time : as stored, shape (n,); finite and never backwards.
        """
        farthest = _farthest(time, self._run)
        if farthest == 0:
            return []
        if farthest > FARTHEST:
            return None
        alike = side_by_side(lambda part: self._alike(part, farthest), self._parts())
        first, second = map(np.concatenate, zip(*alike, strict=True))
        if len(first) > MOST:
            return None
        tied = time[first] == time[second]
        found = runs_around(self._marks[: self._n], first[tied], second[tied], self._run)
        # A mark may agree by chance where the run begins: it may begin later.
        starts = [(i + k, j + k) for i, j in found for k in range(self._run + 1) if j + k + self._run <= self._n]
        return starts if len(starts) <= MOST else None

    def _parts(self) -> list[slice]:
        """Of the marks, each but the last as long as some runs."""
        length = -(-self._n // (PARTS * self._run)) * self._run
        return [slice(first, min(first + length, self._n)) for first in range(0, self._n, length)]

    def _alike(self, part: slice, farthest: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """One event in a run's length, and those behind it, at most so far away, that have the same mark."""
        windows = sliding_window_view(self._marks[part.start : part.stop + farthest], farthest + 1)[:: self._run]
        row, distance = np.divmod(np.flatnonzero(windows[:, 1:] == windows[:, :1]), farthest)
        first = part.start + row * self._run
        second = first + distance + 1
        inside = second < self._n
        return first[inside], second[inside]


def ticking_words(rows: NDArray[np.uint8], place: int, run: int) -> tuple[int, int, int] | None:
    """The `word`, `clock_word` and `quarter` of :class:`Ticks`; None where fingerprints tell events better.

    Parameters
    ----------
    rows : bytes of the first events, shape (events, multiple of 4).
    place : which word Time is, as this computer reads it.
    """
    words = rows.view(np.uint32)
    if _farthest(words[:, place].view(np.float32), run) > FARTHEST // 4:
        return None
    halves = rows.view(np.uint16)
    beside = [place + side for side in (-1, 1) if 0 <= place + side < words.shape[1]]
    variety = {half: len(set(halves[:, half].tolist())) for word in beside for half in (2 * word, 2 * word + 1)}
    best = max(variety, key=variety.__getitem__, default=0)
    if variety.get(best, 0) < min(VARIETY, len(rows) // 2):
        return None
    word = min(place, best // 2)
    return word, place - word, best - 2 * word


def _farthest(time: Array, run: int) -> int:
    """How far apart two runs that share a tick can be, at most, where Time goes up."""
    step = run // 2
    some = time[::step].copy()
    apart = next((k for k in range(1, FARTHEST // step + 4) if not (some[k:] == some[:-k]).any()), FARTHEST)
    return max(0, step * (apart + 1) - 1 - run)
