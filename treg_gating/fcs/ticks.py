"""Stretches of events that occur twice, in a file whose Time never runs backwards: within one tick of the clock only.

Events that are the same have the same Time, and so have all events between them. A repeat therefore lies in a run of
equal Times that is longer than the repeat. Most files have few such runs or none, and short ones; in them one event in
so many is compared with those behind it, which finds every repeat.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.repeats import MOST, SEEN, Events, Prints, runs_around, word_pairs

__all__ = ["Ticks", "ticking_words"]

FARTHEST = 256  # events; where longer runs share a tick, comparing fingerprints takes less time
MARGIN = FARTHEST + 64  # events that are to be known behind those that are looked through: the farthest, a run and more
VARIETY = SEEN // 2  # marks that differ among the first events

_NONE = np.empty(0, np.intp), np.empty(0, np.intp)

Array = NDArray[Any]


class Ticks:
    """Keeps a mark an event, beside Time, and finds two places within a tick where the same marks follow each other.

    Parameters
    ----------
    n : number of events.
    run : consecutive equal events that count as a repeat; an even number.
    word : the first of two neighbouring words, one of which is Time as this computer reads it.
    clock_word : which of the two Time is.
    quarter : which 16 bits of the two, not of Time, are the mark.
    """

    tells_time = True

    def __init__(self, n: int, run: int, word: int, clock_word: int, quarter: int) -> None:
        self._n, self._run, self._word, self._clock_word, self._quarter = n, run, word, clock_word, quarter
        width = -(-n // run)
        # A column a run's length of events, so that every event of a row is compared by one step with those behind.
        self._marks = np.empty((run, width + FARTHEST // run), np.uint16)
        self._marks[:, width - 1 :] = 0
        self._times = np.empty(-(-n // (run // 2)), np.float32)  # of two events in a run
        self._taken: dict[int, int] = {}  # one past the last event, by the first
        self._reached = 0  # nothing is missing before this event
        self._sought = 0  # and what is before this one has been looked through
        self._seeking = Lock()
        self._alike: list[tuple[Events, Events]] = []
        self._hopeless = False  # ticks too long, or too much alike

    def take(self, first: int, rows: NDArray[np.uint8], time: Array | None) -> Prints:
        """Take events as they are stored, from `first`, and write their Time; several threads may, in any order.

        `first` is a multiple of `run`, and so is the number of events but for the last; `Data.chunks` sees to that.

        Returns
        -------
        Numbers that are 0 for events of zeros.
        """
        if first % self._run:
            msg = f"events from {first} on, which is no multiple of {self._run}: repeats would be overlooked"
            raise ValueError(msg)
        pairs = word_pairs(rows, self._word)
        times = pairs.view(np.float32)[self._clock_word :: 2]
        if time is not None:
            time[:] = times
        step, columns = self._run // 2, len(rows) // self._run
        some = times[::step]
        self._times[first // step : first // step + len(some)] = some
        marks, column = pairs.view(np.uint16)[self._quarter :: 4], first // self._run
        whole, rest = marks[: columns * self._run], marks[columns * self._run :]
        self._marks[:, column : column + columns] = whole.reshape(columns, self._run).T
        self._marks[: len(rest), column + columns] = rest
        self._taken[first] = first + len(rows)
        return pairs

    def seek(self) -> None:
        """Look through what was taken and was not looked through; any thread may, when it has time for that."""
        with self._seeking:
            while self._reached in self._taken:
                self._reached = self._taken.pop(self._reached)
            known = self._reached if self._reached == self._n else self._reached - MARGIN
            if known > self._sought:
                self._look_through(self._sought, known)
                self._sought = known

    def candidates(self, time: Array) -> list[tuple[int, int]] | None:
        """First events of two runs with equal marks, to be compared in full; None where there are too many of them.

        Parameters
        ----------
        time : as stored, shape (n,); finite and never backwards.
        """
        self.seek()
        first, second = map(np.concatenate, zip(_NONE, *self._alike, strict=True))
        if self._hopeless or len(first) > MOST:
            return None
        order = np.lexsort((second, first))  # whoever found them
        first, second = first[order], second[order]
        tied = time[first] == time[second]
        found = runs_around(self._marks_of, self._n, first[tied], second[tied], self._run)
        # A mark may agree by chance where the run begins: it may begin later.
        starts = [(i + k, j + k) for i, j in found for k in range(self._run + 1) if j + k + self._run <= self._n]
        return starts if len(starts) <= MOST else None

    def _look_through(self, begin: int, end: int) -> None:
        """Compare one in a run's length of the events from `begin`, where such one stands, to `end`."""
        step = self._run // 2
        # Of two runs that hold such an event, the first begins less than a run before it, the second ends in MARGIN.
        farthest = _farthest(self._times[max(0, begin // step - 2) : end // step + MARGIN // step], self._run)
        self._hopeless = self._hopeless or farthest > FARTHEST
        for column in range(farthest // self._run + 1 if farthest else 0):
            if not self._hopeless:
                self._compare(begin, end, column, farthest)

    def _compare(self, begin: int, end: int, column: int, farthest: int) -> None:
        """One event in a run's length with those so many columns behind it, not too far away."""
        nearest = 0 if column else 1  # row; not the event itself
        first, last = begin // self._run, -(-end // self._run)
        marks = self._marks[0, first:last]
        behind = self._marks[nearest : farthest - column * self._run + 1, first + column : last + column]
        some = np.flatnonzero((behind == marks).any(axis=0))
        if len(some) > MOST:  # before all their pairs take memory
            self._hopeless = True
            return
        row, at = np.nonzero(behind[:, some] == marks[some])
        event = begin + self._run * some[at]
        other = event + column * self._run + row + nearest
        inside = other < self._n
        self._alike.append((event[inside], other[inside]))

    def _marks_of(self, events: NDArray[np.intp]) -> NDArray[np.uint16]:
        column, row = np.divmod(events, self._run)
        return self._marks[row, column]


def ticking_words(rows: NDArray[np.uint8], place: int, run: int) -> tuple[int, int, int] | None:
    """The `word`, `clock_word` and `quarter` of :class:`Ticks`; None where fingerprints tell events better.

    Parameters
    ----------
    rows : bytes of the first events, shape (events, multiple of 4).
    place : which word Time is, as this computer reads it.
    """
    words = rows.view(np.uint32)
    if _farthest(words[:: run // 2, place].view(np.float32), run) > FARTHEST // 4:
        return None
    halves = rows.view(np.uint16)
    beside = [place + side for side in (-1, 1) if 0 <= place + side < words.shape[1]]
    variety = {half: len(set(halves[:, half].tolist())) for word in beside for half in (2 * word, 2 * word + 1)}
    best = max(variety, key=variety.__getitem__, default=0)
    if variety.get(best, 0) < min(VARIETY, len(rows) // 2):
        return None
    word = min(place, best // 2)
    return word, place - word, best - 2 * word


def _farthest(thinned: Array, run: int) -> int:
    """How far apart two runs that share a tick can be, at most, where Time goes up; told by two events in each run."""
    step = run // 2
    apart = next((k for k in range(1, FARTHEST // step + 4) if not (thinned[k:] == thinned[:-k]).any()), FARTHEST)
    return max(0, step * (apart + 1) - 1 - run)
