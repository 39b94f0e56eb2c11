"""How far the signals of a stretch of events lie from those of the whole tube.

A shift of one channel by δ decades changes the density f of its values; the score ∂ log f / ∂ δ of an event, averaged
over a stretch and divided by the Fisher information, estimates that shift (one Newton step of maximum likelihood). It
hardly reacts to how many cells of each kind happen to fall into the stretch, where a median of a channel with
negative and positive cells does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.smoothing import smooth

__all__ = ["ChannelScores", "channel_scores"]

Values = NDArray[np.float64]
Rows = NDArray[np.intp]

_SHIFT = 18  # of 32 bits; sign, exponent and five bits of the fraction stay: steps of 0.01 decades
_LEVELS = 1 << (32 - _SHIFT)
_GRID = 512
_BANDWIDTH = 0.05  # decades
_FLOOR = 1e-3  # of the highest density; below it the derivative of the logarithm is noise
_LARGEST = 20.0  # per decade


class ChannelScores:
    """Sums over stretches of two scores of one channel.

    Parameters
    ----------
    keys : coarse level of every event's value, shape (n,), in order of time; as indices, which tables take at once.
    shift : by level, score of a shift, per decade. information : its mean square over the tube.
    rank : by level, mid-rank of the value among all events, from −0.5 to 0.5.
    """

    def __init__(self, keys: Rows, shift: Values, information: float, rank: Values) -> None:
        self._keys, self.information = keys, information
        self._both = shift + 1j * rank  # looked up together

    def shifts_and_ranks(self, rows: Rows, edges: Rows) -> tuple[Values, Values]:
        """Of the stretches of the events `rows`, cut at n + 1 `edges`, each of shape (n,).

        Estimated shift, decades; and mean of the mid-ranks, 0 where the values are like the tube's.
        """
        keys = self._keys if len(rows) == len(self._keys) else self._keys[rows]
        means = np.add.reduceat(self._both.take(keys), edges[:-1]) / np.diff(edges)
        return means.real / self.information, means.imag


def channel_scores(values: NDArray[np.floating[Any]]) -> ChannelScores | None:
    """Scores of one channel's raw values, or None where they are all alike.

    Parameters
    ----------
    values : of the events to look at, shape (n,), in order of time.
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    keys = (bits >> np.uint32(_SHIFT)).astype(np.intp)
    counts = np.bincount(keys, minlength=_LEVELS)
    levels = np.flatnonzero(counts)
    middle = ((levels.astype(np.uint32) << np.uint32(_SHIFT)) | np.uint32(1 << (_SHIFT - 1))).view(np.float32)
    finite = np.isfinite(middle)
    levels = levels[finite]
    middle64: Values = middle[finite].astype(np.float64)
    weight: Values = counts[levels].astype(np.float64)
    if len(levels) < 3:
        return None
    shift, information = _shift_scores(middle64, weight)
    if not information > 0:
        return None
    by_level, ranks = np.zeros(_LEVELS), np.zeros(_LEVELS)
    by_level[levels] = shift
    ascending = np.argsort(middle64)
    before = np.cumsum(weight[ascending]) - weight[ascending] / 2
    ranks[levels[ascending]] = before / weight.sum() - 0.5
    return ChannelScores(keys, by_level, information, ranks)


def _shift_scores(middle: Values, weight: Values) -> tuple[Values, float]:
    """Score of a shift for each level, and the information, from the levels' values and counts.

    On u = asinh(x / c) / ln 10 a factor 10^δ on x moves u by δ·g, g = x / √(x² + c²), which is 1 away from zero; the
    density becomes f − δ (g f)′, so that the score is −(g f)′ / f.
    """
    size = np.sort(np.abs(middle))
    by_size = np.argsort(np.abs(middle))
    half = np.searchsorted(np.cumsum(weight[by_size]), weight.sum() / 2)
    scale = max(float(size[min(half, len(size) - 1)]) / 5, 1e-30)
    u = np.arcsinh(middle / scale) / np.log(10)
    ascending = np.argsort(u)
    share = np.cumsum(weight[ascending]) / weight.sum()
    low, high = (u[ascending][min(int(np.searchsorted(share, q)), len(u) - 1)] for q in (0.0005, 0.9995))
    low, high = low - 4 * _BANDWIDTH, high + 4 * _BANDWIDTH
    step = (high - low) / _GRID
    cell = np.floor((u - low) / step).astype(np.intp)
    inside = (cell >= 0) & (cell < _GRID)
    f = smooth(np.bincount(cell[inside], weight[inside], _GRID), max(_BANDWIDTH / step, 1.0))
    x = np.sinh((low + (np.arange(_GRID) + 0.5) * step) * np.log(10))
    g = x / np.hypot(x, 1.0)
    score = -np.gradient(g * f, step) / np.maximum(f, _FLOOR * f.max())
    by_cell = np.clip(score, -_LARGEST, _LARGEST)
    result = np.where(inside, by_cell[np.clip(cell, 0, _GRID - 1)], 0.0)
    result -= (result * weight).sum() / weight.sum()
    return result, float((result**2 * weight).sum() / weight.sum())
