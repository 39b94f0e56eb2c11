"""Linear values of a tube's channels, compensated for no more events than a gate asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from treg_gating.compensation import check_matrix
from treg_gating.sample import Sample, Spillover

__all__ = ["Column", "LinearColumns"]

Column = Callable[[NDArray[np.intp]], NDArray[np.floating[Any]]]

CHUNK = 1 << 11
MANY = 0.5  # of the events; then all are looked at, side by side, sooner than those one by one
FEW = 0.25


class LinearColumns:
    """Linear values of a raw sample's channels, compensated only for the events that are asked for, and kept.

    A gate asks for the events that are left; all dyes of these are then compensated together, because the gates below
    will ask for them.

    Parameters
    ----------
    sample : raw events. spillover : the matrix, or None to leave everything as it is.
    channels : dyes to compensate; other channels are given raw.

    Raises
    ------
    CompensationError : as :func:`compensate`.
    """

    def __init__(self, sample: Sample, spillover: Spillover | None, channels: Sequence[str] = ()) -> None:
        self._events = sample.events
        self._column = {name: i for i, name in enumerate(sample.channel_names)}
        self._copies: dict[int, NDArray[np.floating[Any]]] = {}
        self._row: dict[str, int] = {}
        self._stretches: WeakValueDictionary[tuple[int, int], Stretch] = WeakValueDictionary()
        if spillover is None or not channels:
            return
        check_matrix(sample, spillover, channels)
        self._row = {name: row for row, name in enumerate(channels)}
        self._sources: list[int] | slice = [self._column[name] for name in spillover.channels]
        if self._sources == list(range(self._sources[0], self._sources[0] + len(self._sources))):
            self._sources = slice(self._sources[0], self._sources[-1] + 1)  # detectors mostly lie side by side
        chosen = spillover.inverse[:, [spillover.channels.index(name) for name in channels]]
        self._weights = np.ascontiguousarray(chosen)  # row by row, the product takes a third of the time
        self._known: NDArray[np.bool_] | None = np.zeros(sample.n_events, dtype=bool)  # None: of all events
        self._values = np.empty((len(channels), sample.n_events), sample.events.dtype)

    def values(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        """Values of one channel ($PnN) for the events `rows`, shape (len(rows),), of the sample's own type."""
        row = self._row.get(name)
        if row is None:
            return self._as_measured(self._column[name], rows)
        if self._known is not None:
            new = rows[~self._known.take(rows)]
            if len(new) > MANY * len(self._known):
                self._compensate_all()
            else:
                self._compensate(new)
                self._known[new] = True
        return np.asarray(self._values[row][rows])

    def stretch(self, name: str, first: int, last: int) -> Column:
        """Values of one channel for some of the events from `first` to `last`, which are counted from `first` on.

        Channels of the same stretch are compensated together as long as one of these ways to their values is kept.
        """
        stretch = self._stretches.get((first, last))
        if stretch is None:
            plan = (self._row, self._sources, self._weights) if self._row else None
            stretch = self._stretches[first, last] = Stretch(self._events[first:last], self._column, plan)
        return partial(stretch.values, name)

    def _compensate_all(self) -> None:
        n = self._values.shape[1]
        for first in range(0, n, CHUNK):
            part = slice(first, min(first + CHUNK, n))
            self._values[:, part] = _product(self._events[part, self._sources], self._weights).T
        self._known = None

    def _compensate(self, rows: NDArray[np.intp]) -> None:
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            compensated = _product(self._raw(chunk), self._weights)
            for row, values in enumerate(self._values):
                values[chunk] = compensated[:, row]

    def _raw(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        if self._events.flags.c_contiguous:
            return np.asarray(np.asarray(self._events.take(rows, axis=0))[:, self._sources], dtype=np.float64)
        places = range(self._events.shape[1])[self._sources] if isinstance(self._sources, slice) else self._sources
        columns = [np.asarray(self._events[:, i].take(rows), dtype=np.float64) for i in places]
        raw: NDArray[np.float64] = np.stack(columns, axis=1)
        return raw

    def _as_measured(self, column: int, rows: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        """Some rows of one raw column; a copy of the column, that lies together, is kept where many are asked for."""
        if not self._events.flags.c_contiguous:
            return np.asarray(self._events[:, column].take(rows))
        if column not in self._copies:
            if len(rows) < MANY * len(self._events):
                return np.asarray(self._events.reshape(-1).take(rows * self._events.shape[1] + column))
            self._copies[column] = np.ascontiguousarray(self._events[:, column])
        return np.asarray(self._copies[column][rows])


def _product(raw: NDArray[np.floating[Any]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values
        product: NDArray[np.float64] = np.asarray(raw, dtype=np.float64) @ weights
    return product


class Stretch:
    """Linear values of some events that follow each other, few enough to stay in the processor's cache.

    Parameters
    ----------
    events : of the stretch, shape (n, channels).
    column : number by channel.
    plan : what is compensated: row by dye; detectors of the matrix; weights, shape (detectors, dyes). None for nothing.
    """

    def __init__(
        self,
        events: NDArray[np.floating[Any]],
        column: Mapping[str, int],
        plan: tuple[Mapping[str, int], list[int] | slice, NDArray[np.float64]] | None,
    ) -> None:
        self._events = events
        self._column = column
        self._row, self._sources, self._weights = plan or ({}, slice(0), np.empty((0, 0)))
        self._copies: dict[int, NDArray[np.floating[Any]]] = {}
        self._dyes: NDArray[np.floating[Any]] | None = None
        self._place: NDArray[np.intp] | None = None  # of each event among those compensated; None: all are

    def values(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        """Values of one channel for the events `rows`, which ascend, shape (len(rows),)."""
        row = self._row.get(name)
        if row is None:
            return self._chosen(self._as_measured(self._column[name]), rows)
        if self._dyes is None:
            self._compensate(rows if len(rows) < FEW * len(self._events) else None)
        if self._place is not None:
            at = self._place.take(rows)
            if not len(at) or at.min() >= 0:
                return np.asarray(self._dyes_known[row].take(at))
            self._compensate(None)
        return self._chosen(self._dyes_known[row], rows)

    @property
    def _dyes_known(self) -> NDArray[np.floating[Any]]:
        assert self._dyes is not None  # noqa: S101 (compensated before)
        return self._dyes

    def _chosen(self, values: NDArray[np.floating[Any]], rows: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        return values if len(rows) == len(values) else np.asarray(values.take(rows))

    def _as_measured(self, column: int) -> NDArray[np.floating[Any]]:
        if column not in self._copies:
            self._copies[column] = np.ascontiguousarray(self._events[:, column])
        return self._copies[column]

    def _compensate(self, rows: NDArray[np.intp] | None) -> None:
        """All dyes of these events, or of all."""
        events = self._events if rows is None else self._events.take(rows, axis=0)
        self._place = None
        if rows is not None:
            self._place = np.full(len(self._events), -1, np.intp)
            self._place[rows] = np.arange(len(rows))
        self._dyes = np.empty((self._weights.shape[1], len(events)), events.dtype)
        for first in range(0, len(events), CHUNK):
            part = slice(first, first + CHUNK)
            self._dyes[:, part] = _product(events[part, self._sources], self._weights).T
