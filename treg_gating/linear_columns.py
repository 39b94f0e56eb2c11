"""Linear values of a tube's channels: whole columns once for all, or stretch by stretch for gates that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from treg_gating.sample import Sample, Spillover
from treg_gating.threads import side_by_side
from treg_gating.unmixing import CHUNK, Unmixing, WholeColumns

__all__ = ["Column", "LinearColumns"]

Rows = NDArray[np.intp] | slice  # events, which ascend; a slice of all takes no memory
Column = Callable[[Rows], NDArray[np.floating[Any]]]

STRETCH = 1 << 16  # events that are worth a turn of a thread
FEW = 0.25  # of the events: for so many no whole column is made
RAW_KEPT = 2  # columns that are not compensated, and that nobody wanted kept


class LinearColumns:
    """Linear values of a raw sample's channels.

    Whole columns are made when one is first asked for, all dyes together, because the gates below will ask for them;
    or they were made while the events were read. Gates that are known beforehand ask for stretches of the tube
    instead, and these take from the whole columns where there are any.

    Parameters
    ----------
    sample : raw events. spillover : the matrix, or None to leave everything as it is.
    channels : dyes to compensate; other channels are given raw.
    made : columns of this sample and matrix that there are already. Nothing else will be asked for, so that the events
        are let go.

    Raises
    ------
    CompensationError : as :func:`treg_gating.compensation.compensate`.
    """

    def __init__(
        self,
        sample: Sample,
        spillover: Spillover | None,
        channels: Sequence[str] = (),
        made: WholeColumns | None = None,
    ) -> None:
        self._sample = sample if made is None else None
        self._column = {name: i for i, name in enumerate(sample.channel_names)}
        self._unmixing = Unmixing(sample, spillover, channels) if made is None else made.unmixing
        self._whole: dict[str, NDArray[np.floating[Any]]] = {} if made is None else made.columns
        self._kept = frozenset(self._whole)
        self._making = Lock()
        self._stretches: WeakValueDictionary[tuple[int, int], Stretch] = WeakValueDictionary()

    @property
    def _there(self) -> Sample:
        assert self._sample is not None, "asked for a channel after the last"  # noqa: S101 (of who asks)
        return self._sample

    @property
    def _events(self) -> NDArray[np.floating[Any]]:
        return self._there.events

    def _make(self, name: str) -> None:
        """The whole column of a channel that is given raw; those of all dyes where it is one of them."""
        sample, events = self._there, self._events
        dyes = name in self._unmixing.row
        made = WholeColumns(sample, self._unmixing) if dyes else WholeColumns(sample, Unmixing(sample, None), [name])
        side_by_side(lambda first: made.take(first, events[first : first + STRETCH]), range(0, len(events), STRETCH))
        self._whole.update(made.columns)

    def values(self, name: str, rows: Rows) -> NDArray[np.floating[Any]]:
        """Values of one channel ($PnN) for the events `rows`, which ascend; shape (len(rows),)."""
        if name in self._kept:  # it is never let go
            return self._whole[name][rows] if isinstance(rows, slice) else _chosen(self._whole[name], rows)
        if isinstance(rows, slice):
            rows = np.arange(len(self._events))[rows]
        with self._making:
            column = self._whole.get(name)
            dyes = self._unmixing.row
            if column is None and name not in dyes and len(rows) < FEW * len(self._events):
                return np.asarray(self._events[rows, self._column[name]])
            if column is None:
                self._make(name)
                column = self._whole[name]
            others = {one: values for one, values in self._whole.items() if one != name}
            self._whole = {**others, name: column}  # the last one asked for comes last; `stretch` never misses it
            raw = [one for one in self._whole if one not in dyes and one not in self._kept]
            for one in raw[:-RAW_KEPT]:  # gates ask for a few at a time, and they are soon made again
                del self._whole[one]
        return _chosen(column, rows)

    def stretch(self, name: str, first: int, last: int) -> Column:
        """Values of one channel for some of the events from `first` to `last`, which are counted from `first` on.

        Channels of the same stretch are compensated together as long as one of these ways to their values is kept.
        """
        column = self._whole.get(name)
        if column is not None:
            return partial(_chosen, column[first:last])
        stretch = self._stretches.get((first, last))
        if stretch is None:
            stretch = Stretch(self._events[first:last], self._column, self._unmixing)
            self._stretches[first, last] = stretch
        return stretch.column(name)


def _chosen(values: NDArray[np.floating[Any]], rows: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
    """Some of the values; all of them, and no copy, where as many are asked for, because rows ascend."""
    if len(rows) == len(values):
        return values
    if len(rows) and not 0 <= rows[0] <= rows[-1] < len(values):
        raise IndexError((rows[0], rows[-1], len(values)))
    return np.asarray(values.take(rows, mode="clip"))  # quicker than a take that looks at every row


class Stretch:
    """Linear values of some events that follow each other, few enough to stay in the processor's cache.

    Parameters
    ----------
    events : of the stretch, shape (n, channels).
    column : number by channel.
    unmixing : of the dyes.
    """

    def __init__(
        self,
        events: NDArray[np.floating[Any]],
        column: Mapping[str, int],
        unmixing: Unmixing,
    ) -> None:
        self._events = events
        self._column = column
        self._unmixing = unmixing
        self._awaited: set[int] = set()
        self._copies: dict[int, NDArray[np.floating[Any]]] = {}
        self._dyes: NDArray[np.floating[Any]] | None = None
        self._place: NDArray[np.intp] | None = None  # of each event among those compensated; None: all are

    def column(self, name: str) -> Column:
        """The way to the values of one channel."""
        if name not in self._unmixing.row:
            self._awaited.add(self._column[name])
        return partial(self.values, name)

    def values(self, name: str, rows: Rows) -> NDArray[np.floating[Any]]:
        """Values of one channel for the events `rows`, which ascend, shape (len(rows),)."""
        if isinstance(rows, slice):
            rows = np.arange(len(self._events))[rows]
        row = self._unmixing.row.get(name)
        if row is None:
            return _chosen(self._as_measured(self._column[name]), rows)
        if self._dyes is None:
            self._compensate(rows if len(rows) < FEW * len(self._events) else None)
        if self._place is not None:
            at = self._place.take(rows)
            if not len(at) or at.min() >= 0:
                return np.asarray(self._dyes_known[row].take(at))
            self._compensate(None)
        return _chosen(self._dyes_known[row], rows)

    @property
    def _dyes_known(self) -> NDArray[np.floating[Any]]:
        assert self._dyes is not None  # noqa: S101 (compensated before)
        return self._dyes

    def _as_measured(self, column: int) -> NDArray[np.floating[Any]]:
        """One column; all that are awaited are copied together, while the events are in the processor's cache."""
        if column not in self._copies:
            columns = sorted({column, *self._awaited} - self._copies.keys())
            made = np.empty((len(columns), len(self._events)), self._events.dtype)
            for first in range(0, len(self._events), CHUNK):
                part = slice(first, first + CHUNK)
                for row, each in enumerate(columns):
                    made[row, part] = self._events[part, each]
            self._copies.update(zip(columns, made, strict=True))
        return self._copies[column]

    def _compensate(self, rows: NDArray[np.intp] | None) -> None:
        """All dyes of these events, or of all."""
        events = self._events if rows is None else self._events.take(rows, axis=0)
        self._place = None
        if rows is not None:
            self._place = np.full(len(self._events), -1, np.intp)
            self._place[rows] = np.arange(len(rows))
        self._dyes = np.empty((len(self._unmixing.row), len(events)), events.dtype)
        self._unmixing.fill(events, self._dyes)
