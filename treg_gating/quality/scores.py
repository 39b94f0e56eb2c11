"""How far the signals of a stretch of events lie from those of the whole tube.

A shift of one channel by δ decades changes the density f of its values; the score ∂ log f / ∂ δ of an event, averaged
over a stretch and divided by the Fisher information, estimates that shift (one Newton step of maximum likelihood). It
hardly reacts to how many cells of each kind happen to fall into the stretch, where a median of a channel with
negative and positive cells does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.smoothing import smooth

__all__ = ["LEVELS", "Scores", "levels_of", "scores_of"]

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
Levels = NDArray[np.uint16]

_SHIFT = 18  # of 32 bits; sign, exponent and five bits of the fraction stay: steps of 0.01 decades
LEVELS = 1 << (32 - _SHIFT)
_UPPER = int(sys.byteorder == "little")  # which half of the bits of a number holds all that stays
_GRID = 512
_BANDWIDTH = 0.05  # decades
_FLOOR = 1e-3  # of the highest density; below it the derivative of the logarithm is noise
_LARGEST = 20.0  # per decade
_CHUNK = 1 << 12  # events that stay in the processor's cache
_LOOKED_UP = 1 << 14  # events of one channel whose scores do


class Scores:
    """Two scores of each of some channels, to be averaged over stretches of events.

    Parameters
    ----------
    levels : of every event, by channel, in order of time, as :func:`levels_of` gives them.
    tables : shape (channels, LEVELS): by level, score of a shift, per decade, as the real part; mid-rank of the value
        among all events, from −0.5 to 0.5, as the imaginary one: they are looked up together.
    information : shape (channels,), mean square of the score of a shift over the tube.
    """

    def __init__(self, levels: Levels, tables: NDArray[np.complex128], information: Values) -> None:
        self._levels, self._tables, self.information = levels, tables, information

    def shifts_and_ranks(self, rows: Rows, edges: Rows) -> tuple[Values, Values]:
        """Of the stretches of the events `rows`, cut at n + 1 `edges`, each of shape (channels, n).

        Estimated shifts, decades; and means of the mid-ranks, 0 where the values are like the tube's.
        """
        n, everything = len(edges) - 1, len(rows) == self._levels.shape[1]
        sums = np.empty((len(self._levels), n), np.complex128)
        together = max(1, n * _LOOKED_UP // len(rows))
        for first in range(0, n, together):
            cuts = edges[first : first + together + 1]
            here = slice(cuts[0], cuts[-1])
            for levels, table, found in zip(self._levels, self._tables, sums, strict=True):
                both = table.take(levels[here if everything else rows[here]], mode="clip")
                found[first : first + together] = np.add.reduceat(both, cuts[:-1] - cuts[0])
        means = sums / np.diff(edges)
        return means.real / self.information[:, np.newaxis], means.imag


def levels_of(events: NDArray[np.floating[Any]], columns: Sequence[int], rows: Rows) -> Levels:
    """Coarse levels of the values of some columns of some events, shape (len(columns), len(rows))."""
    levels = np.empty((len(columns), len(rows)), np.uint16)
    room = np.empty((min(_CHUNK, len(rows)), events.shape[1]), events.dtype)
    for first in range(0, len(rows), _CHUNK):  # a file's events lie one by one: each is met once
        part = slice(first, first + _CHUNK)
        with np.errstate(over="ignore"):  # what single precision does not hold becomes infinite, and tells nothing
            if events.flags.c_contiguous:
                some = events.take(rows[part], axis=0, out=room[: len(rows[part])], mode="clip")  # no look at each row
                halves = np.asarray(some, np.float32).view(np.uint16)[:, _UPPER::2].T
                chosen = [halves[column] for column in columns]
            else:
                here = (events[:, column].take(rows[part]).astype(np.float32) for column in columns)
                chosen = [values.view(np.uint16)[_UPPER::2] for values in here]
        for row, values in enumerate(chosen):
            levels[row, part] = values
    levels >>= _SHIFT - 16
    return levels


def scores_of(levels: Levels) -> tuple[Scores, Rows]:
    """Scores of the channels, and which they are: those whose values are all alike have none.

    Parameters
    ----------
    levels : of the events to look at, shape (channels, n), in order of time.
    """
    counts = [np.bincount(one, minlength=LEVELS) for one in levels]
    found, values = _ascending(np.flatnonzero(sum(counts, np.zeros(LEVELS, np.intp)) > 0))
    weights = np.array([one[found] for one in counts], np.float64).reshape(len(counts), len(found))
    several = np.flatnonzero(np.count_nonzero(weights, axis=1) >= 3)
    weights = weights[several]
    shifts, information = _shift_scores(values, weights)
    before = np.cumsum(weights, axis=1) - weights / 2
    tables = np.zeros((len(several), LEVELS), np.complex128)
    tables[:, found] = shifts + 1j * (before / weights.sum(axis=1, keepdims=True) - 0.5)
    told = np.flatnonzero(information > 0)
    channels = several[told]
    if len(channels) < len(levels):
        levels, tables, information = levels[channels], tables[told], information[told]
    return Scores(levels, tables, information), channels


def _ascending(levels: Rows) -> tuple[Rows, Values]:
    """Those of the levels that stand for numbers, by value, and the values in their middles."""
    bits = (levels.astype(np.uint32) << np.uint32(_SHIFT)) | np.uint32(1 << (_SHIFT - 1))
    values = bits.view(np.float32)
    order = np.argsort(values)
    order = order[np.isfinite(values[order])]
    return levels[order], values[order].astype(np.float64)


def _shift_scores(values: Values, weights: Values) -> tuple[Values, Values]:
    """Score of a shift for each channel and level; information, shape (channels,).

    On u = asinh(x / c) / ln 10 a factor 10^δ on x moves u by δ·g, g = x / √(x² + c²), which is 1 away from zero; the
    density becomes f − δ (g f)′, so that the score is −(g f)′ / f.

    Parameters
    ----------
    values : of the levels, ascending. weights : events, shape (channels, levels); each channel has some.
    """
    total = weights.sum(axis=1, keepdims=True)
    by_size = np.argsort(np.abs(values))
    half = np.count_nonzero(np.cumsum(weights[:, by_size], axis=1) < total / 2, axis=1)
    scale = np.maximum(np.abs(values)[by_size[half]] / 5, 1e-30)[:, np.newaxis]
    u = np.arcsinh(values / scale) / np.log(10)
    below = np.cumsum(weights, axis=1) / total
    first, last = (np.count_nonzero(below < share, axis=1)[:, np.newaxis] for share in (0.0005, 0.9995))
    low = np.take_along_axis(u, first, axis=1) - 4 * _BANDWIDTH
    high = np.take_along_axis(u, last, axis=1) + 4 * _BANDWIDTH
    step = (high - low) / _GRID
    cell = np.floor((u - low) / step).astype(np.intp)
    inside = (cell >= 0) & (cell < _GRID)
    cell = np.where(inside, cell, 0)
    f = _densities(cell, np.where(inside, weights, 0.0), np.maximum(_BANDWIDTH / step, 1.0))
    g = np.tanh((low + (np.arange(_GRID) + 0.5) * step) * np.log(10))  # x / √(x² + c²) at u
    score = -np.gradient(g * f, axis=1) / step / np.maximum(f, _FLOOR * f.max(axis=1, keepdims=True))
    by_cell = np.minimum(np.maximum(score, -_LARGEST), _LARGEST)
    result = np.where(inside, np.take_along_axis(by_cell, cell, axis=1), 0.0)
    result -= (result * weights).sum(axis=1, keepdims=True) / total
    return result, (result**2 * weights).sum(axis=1) / total[:, 0]


def _densities(cell: Rows, weights: Values, bandwidths: Values) -> Values:
    """Smooth histograms, shape (channels, _GRID), of the cells, shape (channels, levels); bandwidths in cells."""
    n = len(cell)
    flat = (cell + _GRID * np.arange(n)[:, np.newaxis]).ravel()
    counts = np.bincount(flat, weights.ravel(), n * _GRID).reshape(n, _GRID)
    smoothed = [smooth(row, float(bandwidth)) for row, bandwidth in zip(counts, bandwidths.flat, strict=True)]
    return np.array(smoothed).reshape(n, _GRID)
