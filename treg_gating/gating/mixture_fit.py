"""Fit a Student-t mixture to binned events by EM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import EStep, Mixture, triangle

__all__ = ["fit_mixture"]

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
    groups: int = 1,
    own: tuple[NDArray[np.bool_], int] | None = None,
) -> Mixture:
    """EM from a start.

    Parameters
    ----------
    floor : least standard deviation of a component along any axis, in gate units; keeps one from collapsing.
    tie : strength of the prior that all components have the same shape, as a share of all events: each scale
        matrix is drawn to the average within-component scatter by that many pseudo-events. It keeps a component
        from spreading over two populations; a population that is wider or skewed takes several components.
    tolerance : stop when the log likelihood per event gains less.
    groups : mixtures that lie in `start` one behind the other; they are fitted side by side until all have settled.
    own : components, shape (k,), and an axis: along it they are drawn to the spread they have themselves, in common.
    """
    mixture, before = start, np.full(groups, -np.inf)
    d = data.points.shape[1]
    ridge = max(floor**2, data.width**2 / 12) * np.eye(d)  # what cells have taken from the spread (Sheppard 1897)
    step = EStep(data.points, data.counts, mixture.size, groups)
    for _ in range(iterations):
        masses, sums, after = step(mixture)
        means = sums[:, 1 : 1 + d] / np.maximum(sums[:, :1], 1e-300)
        alive = masses >= MINIMUM_MASS
        means = np.where(alive[:, None], means, mixture.means)
        scatter = _scatters(sums, means)
        pseudo = tie * data.total
        pooled = scatter.reshape(groups, -1, d, d).sum(axis=1) / data.total
        pooled = np.repeat(pooled, mixture.size // groups, axis=0)
        if own:
            pooled = _drawn_out(pooled, scatter, masses, *own)
        scales = (scatter + pseudo * pooled) / np.maximum(masses + pseudo, 1e-300)[:, None, None] + ridge
        scales = np.where(alive[:, None, None], scales, mixture.scales)
        weights = (masses + 1.0) / (data.total + mixture.size // groups)
        mixture = replace(mixture, means=means, scales=scales, weights=weights)
        if np.all(after - before < tolerance):
            break
        before = after
    return mixture


def _drawn_out(pooled: Array, scatter: Array, masses: Array, those: NDArray[np.bool_], axis: int) -> Array:
    """The common shape of each component, made as wide along an axis as `those` components are together."""
    mass = masses[those].sum()
    if mass < MINIMUM_MASS:
        return pooled
    factors = np.ones(pooled.shape[:2])
    factors[those, axis] = np.sqrt(scatter[those, axis, axis].sum() / mass / pooled[those, axis, axis])
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
