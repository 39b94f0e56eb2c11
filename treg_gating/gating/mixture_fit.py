"""Fit a Student-t mixture to binned events by EM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import EStep, Mixture, joined, triangle

__all__ = ["fit_each", "fit_mixture", "likeliest"]

Array = NDArray[np.float64]
MINIMUM_MASS = 5.0  # events below which a component keeps its place and shape


def fit_mixture(
    data: Binned,
    start: Mixture,
    *,
    floor: float,
    tie: float = 0.0,
    iterations: int = 200,
    tolerance: float = 1e-6,
    own: tuple[NDArray[np.bool_], int] | None = None,
    single: bool = False,
) -> Mixture:
    """EM from a start.

    Parameters
    ----------
    floor : least standard deviation of a component along any axis, in gate units; keeps one from collapsing.
    tie : strength of the prior that all components have the same shape, as a share of all events: each scale
        matrix is drawn to the average within-component scatter by that many pseudo-events. It keeps a component
        from spreading over two populations; a population that is wider or skewed takes several components.
    tolerance : stop when the log likelihood per event gains less.
    own : components, shape (k,), and an axis: along it they are drawn to the spread they have themselves, in common.
    single : sum over the cells in single precision, in half the time; the last digits of the end differ.
    """
    drawn = None if own is None else ([own[0]], own[1])
    return fit_each(
        data, [start], floor=floor, tie=tie, iterations=iterations, tolerance=tolerance, own=drawn, single=single
    )[0]


def fit_each(
    data: Binned,
    starts: Sequence[Mixture],
    *,
    floor: float,
    tie: float = 0.0,
    iterations: int = 200,
    tolerance: float = 1e-6,
    own: tuple[Sequence[NDArray[np.bool_]], int] | None = None,
    single: bool = False,
    patience: float = np.inf,
) -> list[Mixture]:
    """:func:`fit_mixture` from several starts of one size, side by side: one step of all takes less time.

    It takes no further step when it has settled. But for `patience`, each ends where it would alone.

    Parameters
    ----------
    own : the components of each start that are drawn to their own spread, and the axis.
    patience : a start goes no further that would not come to where the best one is were its steps that many times as
        good as the last one; nor does the best one when it is the only one left.
    """
    d, size = data.points.shape[1], starts[0].size
    centre = data.counts @ data.points / data.total if single else np.zeros(d)  # far from it, squares lose digits
    near: NDArray[np.floating[Any]] = (data.points - centre).astype(np.float32 if single else np.float64)
    step = EStep(near, data.counts, size * len(starts), len(starts))
    ridge = max(floor**2, data.width**2 / 12) * np.eye(d)  # what cells have taken from the spread (Sheppard 1897)
    better = _MStep(data.total, tie * data.total, ridge, size)
    ends = [replace(start, means=start.means - centre) for start in starts]
    those = [np.zeros(size, np.bool_)] * len(starts) if own is None else list(own[0])
    going, before, best = np.arange(len(starts)), np.full(len(starts), -np.inf), -np.inf
    mixture, drawn = joined(ends), np.concatenate(those)
    for left in reversed(range(iterations)):
        masses, sums, after = step(mixture)
        mixture = better(mixture, masses, sums, None if own is None else (drawn, own[1]))
        gain, before, best = after - before, after, max(best, float(after.max()))
        goes = (gain >= tolerance) & (left > 0)
        if left and patience < np.inf:
            goes &= best - after <= patience * left * gain
            goes &= (goes & (after < best)).any()  # else all is decided
        if goes.all():
            continue
        for at, one in zip(going, _apart(mixture, size), strict=True):
            ends[at] = one
        if not goes.any():
            break
        going, before = going[goes], after[goes]
        mixture, drawn = joined([ends[at] for at in going]), np.concatenate([those[at] for at in going])
    return [replace(end, means=end.means + centre) for end in ends]


def likeliest(data: Binned, mixtures: Sequence[Mixture]) -> Mixture:
    """Of mixtures of one size the first of those that describe the events best."""
    step = EStep(data.points, data.counts, mixtures[0].size * len(mixtures), len(mixtures))
    return mixtures[int(np.argmax(step(joined(mixtures))[2]))]


def _apart(mixture: Mixture, size: int) -> list[Mixture]:
    """The mixtures that :func:`treg_gating.gating.mixture.joined` has put one behind the other."""
    parts = [slice(first, first + size) for first in range(0, mixture.size, size)]
    return [Mixture(mixture.means[part], mixture.scales[part], mixture.weights[part], mixture.nu) for part in parts]


@dataclass(frozen=True, eq=False)
class _MStep:
    """M steps on the same events.

    Parameters
    ----------
    total : events. pseudo : events by which a shape is drawn to the common one. ridge : added to each scale matrix.
    size : components of each mixture.
    """

    total: float
    pseudo: float
    ridge: Array
    size: int

    def __call__(
        self, mixture: Mixture, masses: Array, sums: Array, own: tuple[NDArray[np.bool_], int] | None
    ) -> Mixture:
        """The mixture that is likelier, from what an E step gives."""
        d = mixture.means.shape[1]
        means = sums[:, 1 : 1 + d] / np.maximum(sums[:, :1], 1e-300)
        alive = masses >= MINIMUM_MASS
        all_live = bool(alive.all())
        if not all_live:
            means = np.where(alive[:, None], means, mixture.means)
        scatter = _scatters(sums, means)
        if self.pseudo:
            scatter += self.pseudo * self._pooled(scatter, masses, own)
        scales = scatter / np.maximum(masses + self.pseudo, 1e-300)[:, None, None] + self.ridge
        if not all_live:
            scales = np.where(alive[:, None, None], scales, mixture.scales)
        return Mixture(means, scales, (masses + 1.0) / (self.total + self.size), mixture.nu)

    def _pooled(self, scatter: Array, masses: Array, own: tuple[NDArray[np.bool_], int] | None) -> Array:
        """The common shape of the components of each mixture, shape (k, d, d)."""
        each = scatter.reshape(-1, self.size, *scatter.shape[1:])
        pooled: Array = np.repeat(each.sum(axis=1) / self.total, self.size, axis=0)
        return self._drawn_out(pooled, scatter, masses, *own) if own else pooled

    def _drawn_out(self, pooled: Array, scatter: Array, masses: Array, those: NDArray[np.bool_], axis: int) -> Array:
        """The common shape of each component, made as wide along an axis as `those` of its mixture are together."""
        mass, squares = (
            np.repeat(np.where(those, each, 0.0).reshape(-1, self.size).sum(axis=1), self.size)
            for each in (masses, scatter[:, axis, axis])
        )
        factors = np.ones(pooled.shape[:2])
        drawn = those & (mass >= MINIMUM_MASS)
        factors[drawn, axis] = np.sqrt(squares[drawn] / mass[drawn] / pooled[drawn, axis, axis])
        return np.asarray(pooled * factors[:, :, None] * factors[:, None, :])


def _scatters(sums: Array, means: Array) -> Array:
    """Scatter matrices about given means, shape (k, d, d), from weighted sums of :func:`_features`."""
    d = means.shape[1]
    rows, columns = triangle(d)
    seconds = np.empty((len(means), d, d))
    seconds[:, rows, columns] = seconds[:, columns, rows] = sums[:, 1 + d :]
    crossed = sums[:, 1 : 1 + d, None] * means[:, None, :]
    scatter: Array = (
        seconds - crossed - np.swapaxes(crossed, 1, 2) + sums[:, 0, None, None] * means[:, :, None] * means[:, None, :]
    )
    return scatter
