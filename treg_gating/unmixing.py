"""Columns of a tube from its events, some at a time: dyes compensated, other channels as they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treg_gating.compensation import check_matrix
from treg_gating.fcs.memory import leased_empty
from treg_gating.sample import Sample, Spillover

__all__ = ["CHUNK", "Unmixing", "WholeColumns"]

CHUNK = 1 << 11  # events whose values and products stay in the processor's cache

Events = NDArray[np.floating[Any]]


class Unmixing:
    """How some dyes of a tube are compensated.

    Parameters
    ----------
    sample : raw events, or what is known before they are read.
    spillover : the matrix, or None to leave everything as it is.
    dyes : the channels to compensate.

    Raises
    ------
    CompensationError : as :func:`treg_gating.compensation.compensate`.
    """

    def __init__(self, sample: Sample, spillover: Spillover | None, dyes: Sequence[str] = ()) -> None:
        dyes = tuple(dict.fromkeys(dyes))  # several dimensions may mean the same dye
        self.row: dict[str, int] = {}
        self.detectors: tuple[str, ...] = ()
        self._sources: list[int] | slice = []
        self._weights = np.empty((0, 0))
        if spillover is None or not dyes:
            return
        check_matrix(sample, spillover, dyes)
        self.row = {name: row for row, name in enumerate(dyes)}
        self.detectors, names = spillover.channels, sample.channel_names
        self._sources = [names.index(name) for name in self.detectors]
        if self._sources == list(range(self._sources[0], self._sources[0] + len(self._sources))):
            self._sources = slice(self._sources[0], self._sources[-1] + 1)  # detectors mostly lie side by side
        chosen = spillover.inverse[:, [spillover.channels.index(name) for name in dyes]]
        self._weights = np.ascontiguousarray(chosen)  # row by row, the product takes two thirds of the time

    def fill(self, events: Events, out: Events, raw: Sequence[int] = ()) -> None:
        """Write columns of events as measured, shape (n, channels), into `out`, shape (dyes and raw channels, n).

        Parameters
        ----------
        raw : numbers of channels whose columns follow behind those of the dyes as they are.
        """
        dyes = len(self.row)
        wide = np.empty((min(CHUNK, len(events)), events.shape[1] if dyes else 0))
        product = np.empty((dyes, CHUNK))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values
            for first in range(0, len(events), CHUNK):
                part, target = events[first : first + CHUNK], out[:, first : first + CHUNK]
                if dyes:
                    some = product[:, : len(part)]
                    np.matmul(self._weights.T, self._doubles(part, wide).T, out=some)
                    target[:dyes] = some
                for row, column in enumerate(raw, dyes):
                    target[row] = part[:, column]

    def _doubles(self, events: Events, wide: NDArray[np.float64]) -> NDArray[np.float64]:
        """The detectors' values in double precision, shape (n, detectors).

        Events that lie one after the other are read as one long row into `wide`, other channels and all: a row of a
        few numbers is too short for the processor's wide instructions.
        """
        if not events.flags.c_contiguous:
            return np.asarray(events[:, self._sources], dtype=np.float64)
        wide = wide[: len(events)]
        wide.reshape(-1)[:] = events.reshape(-1)
        return wide[:, self._sources]


class WholeColumns:
    """Whole columns, which lie together in memory, made from events as they come: in any order, in several threads.

    Parameters
    ----------
    sample : the tube, or what is known before its events are read.
    unmixing : of the dyes, which are all made. raw : further channels ($PnN), which are given as measured.
    """

    def __init__(self, sample: Sample, unmixing: Unmixing, raw: Sequence[str] = ()) -> None:
        self.unmixing, self._n_events = unmixing, sample.n_events
        self._names = [*unmixing.row, *raw]
        self.channels = frozenset([*unmixing.detectors, *raw])
        self._raw = [sample.channel_names.index(name) for name in raw]
        self._made: Events | None = None
        self._making = Lock()

    def take(self, first: int, events: Events) -> None:
        """Take the events from `first` on, shape (n, channels), on a linear scale."""
        made = self._begun(events.dtype)
        self.unmixing.fill(events, made[:, first : first + len(events)], self._raw)

    @property
    def columns(self) -> dict[str, Events]:
        """By $PnN, shape (n_events,), when all events have come."""
        return dict(zip(self._names, self._begun(np.float32), strict=True))

    @property
    def as_measured(self) -> dict[str, Events]:
        """Those of them that are not compensated."""
        return {name: values for name, values in self.columns.items() if name not in self.unmixing.row}

    def _begun(self, kind: DTypeLike) -> Events:
        with self._making:
            if self._made is None:
                self._made = leased_empty((len(self._names), self._n_events), kind)
            return self._made
