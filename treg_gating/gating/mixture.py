"""Student-t mixtures on binned events: the arithmetic under the ellipse and the aligned mixture.

A t distribution with few degrees of freedom carries the heavy tails of real stains that would otherwise claim a
component of their own (Peel & McLachlan, Stat Comput 2000; Lo et al., Cytometry A 2008, for flow cytometry).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treg_gating.gating.bins import Binned

__all__ = [
    "Mixture",
    "Placement",
    "expectation",
    "fit_mixture",
    "marginal",
    "place_mixture",
    "probability",
]

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
MINIMUM_MASS = 5.0  # events below which a component keeps its place and shape
BLOCK = 4096  # points whose E step fits the processor's cache
LARGEST_POWER = 64.0  # of a few products; beyond it numpy's own power is as quick


@dataclass(frozen=True, eq=False)
class Mixture:
    """Components of a multivariate t mixture.

    Parameters
    ----------
    means : shape (k, d). scales : shape (k, d, d), scale matrices. weights : shape (k,), sum 1.
    nu : degrees of freedom, common to all components.
    """

    means: Array
    scales: Array
    weights: Array
    nu: float

    @property
    def size(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def spreads(self) -> Array:
        """Square roots of the diagonals of the scale matrices, shape (k, d)."""
        spreads: Array = np.sqrt(np.einsum("kii->ki", self.scales))
        return spreads


@dataclass(frozen=True, eq=False)
class Placement:
    """A cohort's mixture placed on one tube.

    Parameters
    ----------
    shift : shape (d,), the tube's displacement of all components. moves : shape (k, d), of each on top of it, what
        the components of one population move together included.
    weights : shape (k,). information : shape (d, d), inverse covariance of the shift.
    log_likelihood : per event.
    """

    shift: Array
    moves: Array
    weights: Array
    information: Array
    log_likelihood: float


def expectation(mixture: Mixture, points: Array) -> tuple[Array, Array, Array]:
    """E step at `points`, shape (n, d).

    Returns
    -------
    Posterior probabilities (n, k); the latent precisions of the t distribution (n, k); log density (n,).
    """
    density = _Density.of(mixture, np.float64)
    features = _features(points)
    parts = [density.at(block) for block in _blocks(features) or [features]]
    chances, inverses, totals = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return (chances / totals).T, inverses.T * density.precision, density.top + np.log(totals)


def probability(mixture: Mixture, wanted: NDArray[np.bool_], points: Array) -> Array:
    """Probability that an event at `points`, shape (n, d), is of the components `wanted`, shape (k,); shape (n,)."""
    density, chosen = _Density.of(mixture, np.float32), wanted.astype(np.float32)
    result = np.empty(len(points))
    for first in range(0, len(points), BLOCK):
        part = slice(first, first + BLOCK)
        chance, _, total = density.at(_features(points[part].astype(np.float32)))
        result[part] = chosen @ chance / total
    return result


@dataclass(frozen=True, eq=False)
class _Density:
    """What is the same for all points of an E step.

    Parameters
    ----------
    coefficients : of (1 + distance² / ν) on :func:`_features`, shape (k, features).
    heights : density at the middle of each component, of the highest, shape (k, 1). top : log of the highest.
    exponent : (ν + d) / 2. precision : latent precision in the middle of a component, (ν + d) / ν.
    """

    coefficients: Array
    heights: Array
    top: float
    exponent: float
    precision: float

    @classmethod
    def of(cls, mixture: Mixture, kind: DTypeLike, shapes: tuple[Array, Array] | None = None) -> _Density:
        """Of a mixture; `shapes` are its :func:`_precisions` where they are known."""
        d = mixture.means.shape[1]
        half = (mixture.nu + d) / 2
        constant = lgamma(half) - lgamma(mixture.nu / 2) - d / 2 * np.log(mixture.nu * np.pi)
        precisions, half_log_determinants = shapes or _precisions(mixture.scales)
        coefficients = _quadratic_forms(mixture.means, precisions)
        coefficients /= mixture.nu
        coefficients[:, 0] += 1.0
        heights = np.log(np.maximum(mixture.weights, 1e-300)) + constant + half_log_determinants
        top = float(heights.max())
        heights = np.exp(heights - top)[:, None]
        return cls(coefficients.astype(kind), heights.astype(kind), top, half, 2 * half / mixture.nu)

    def at(self, features: Floats, groups: int = 1) -> tuple[Floats, Floats, Floats]:
        """Density of each component (k, n) against `top`, 1 / (1 + distance² / ν) (k, n), sum of the densities (n,).

        In these shapes numpy reduces fastest. With several `groups` of components the sum is that of each, (groups, n).
        """
        inverse = self.coefficients @ features
        np.divide(1.0, inverse, out=inverse)
        chance = _power(inverse, self.exponent)
        chance *= self.heights
        total = chance.sum(axis=0) if groups == 1 else chance.reshape(groups, -1, chance.shape[-1]).sum(axis=1)
        np.maximum(total, np.finfo(total.dtype).tiny, out=total)
        return chance, inverse, total


def _step(
    mixture: Mixture,
    features: Floats,
    counts: Array,
    rows: int,
    shapes: tuple[Array, Array] | None = None,
    groups: int = 1,
) -> tuple[Array, Array, Any]:
    """One E step with the sums an M step needs, block by block: the posterior of all points would leave the cache.

    Returns
    -------
    Events of each component (k,); sums of the first `rows` features, weighted by posterior and precision (k, rows);
    log likelihood per event, of each group of components where there are several.
    """
    density = _Density.of(mixture, features.dtype, shapes)
    masses, sums, likelihood = np.zeros(mixture.size), np.zeros((mixture.size, rows)), np.zeros(groups)
    for block, weight in zip(_blocks(features), _blocks(counts.astype(features.dtype)), strict=True):
        events, inverse, total = density.at(block, groups)
        share = weight / total
        events *= share if groups == 1 else np.repeat(share, mixture.size // groups, axis=0)
        masses += events.sum(axis=1)
        events *= inverse
        sums += events @ block[:rows].T
        likelihood += np.atleast_1d(np.log(total) @ weight)
    likelihood = density.top + likelihood / float(counts.sum())
    return masses, sums * density.precision, likelihood if groups > 1 else float(likelihood[0])


def _blocks(values: Floats) -> list[Floats]:
    """Pieces along the last axis that fit the processor's cache with what is made of them."""
    return [values[..., first : first + BLOCK] for first in range(0, values.shape[-1], BLOCK)]


def _power(values: Floats, exponent: float) -> Floats:
    """`values` to a power: a whole or a half one where the degrees of freedom are whole, which products make."""
    if 2 * exponent != round(2 * exponent) or exponent > LARGEST_POWER:
        return np.asarray(values**exponent)
    whole = int(exponent)
    result = np.sqrt(values) if whole != exponent else None
    square = values
    while whole:
        if whole & 1:
            result = square.copy() if result is None else np.multiply(result, square, out=result)
        whole >>= 1
        if whole:
            square = square * square
    return np.ones_like(values) if result is None else result


@lru_cache
def _triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns i ≤ j of a d × d matrix."""
    return np.triu_indices(d)


def _features(points: Floats) -> Floats:
    """The monomials 1, x_i and x_i x_j (i ≤ j) of points (n, d), shape ((d + 1)(d + 2)/2, n).

    All distances of an E step, and all sums of an M step, are one matrix product with them.
    """
    rows, columns = _triangle(points.shape[1])
    axes = points.T
    return np.concatenate([np.ones_like(axes[:1]), axes, axes[rows] * axes[columns]])


def _precisions(scales: Array) -> tuple[Array, Array]:
    """Inverses of scale matrices, and minus half the logarithms of their determinants."""
    roots = np.linalg.inv(np.linalg.cholesky(scales))
    return np.swapaxes(roots, 1, 2) @ roots, np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)


def _quadratic_forms(means: Array, precisions: Array) -> Array:
    """Mahalanobis distances as linear functions of :func:`_features`, shape (k, features)."""
    d = means.shape[1]
    rows, columns = _triangle(d)
    pulled = (precisions @ means[:, :, None])[:, :, 0]
    coefficients = np.empty((len(means), 1 + d + len(rows)))
    coefficients[:, 0] = (pulled * means).sum(axis=1)
    coefficients[:, 1 : 1 + d] = -2 * pulled
    coefficients[:, 1 + d :] = precisions[:, rows, columns] * np.where(rows == columns, 1.0, 2.0)
    return coefficients


def fit_mixture(
    data: Binned,
    start: Mixture,
    *,
    floor: float,
    tie: float = 0.0,
    iterations: int = 200,
    tolerance: float = 1e-6,
    groups: int = 1,
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
    """
    mixture, before = start, -np.inf
    d = data.points.shape[1]
    ridge = max(floor**2, data.width**2 / 12) * np.eye(d)  # what cells have taken from the spread (Sheppard 1897)
    features = _features(data.points)
    for _ in range(iterations):
        masses, sums, after = _step(mixture, features, data.counts, len(features), groups=groups)
        means = sums[:, 1 : 1 + d] / np.maximum(sums[:, :1], 1e-300)
        alive = masses >= MINIMUM_MASS
        means = np.where(alive[:, None], means, mixture.means)
        scatter = _scatters(sums, means)
        pseudo = tie * data.total
        pooled = scatter.reshape(groups, -1, d, d).sum(axis=1) / data.total
        pooled = np.repeat(pooled, mixture.size // groups, axis=0)
        scales = (scatter + pseudo * pooled) / np.maximum(masses + pseudo, 1e-300)[:, None, None] + ridge
        scales = np.where(alive[:, None, None], scales, mixture.scales)
        weights = (masses + 1.0) / (data.total + mixture.size // groups)
        mixture = replace(mixture, means=means, scales=scales, weights=weights)
        if np.all(after - before < tolerance):
            break
        before = after
    return mixture


def _scatters(sums: Array, means: Array) -> Array:
    """Scatter matrices about given means, shape (k, d, d), from weighted sums of :func:`_features`."""
    d = means.shape[1]
    rows, columns = _triangle(d)
    seconds = np.empty((len(means), d, d))
    seconds[:, rows, columns] = seconds[:, columns, rows] = sums[:, 1 + d :]
    crossed = sums[:, 1 : 1 + d, None] * means[:, None, :]
    scatter: Array = (
        seconds - crossed - np.swapaxes(crossed, 1, 2) + sums[:, 0, None, None] * means[:, :, None] * means[:, None, :]
    )
    return scatter


def place_mixture(
    mixture: Mixture,
    data: Binned,
    *,
    loose: float,
    stiffness: float,
    iterations: int = 80,
    tolerance: float = 1e-6,
    start: Placement | None = None,
    together: NDArray[np.bool_] | None = None,
    firmness: float = 0.0,
) -> Placement:
    """Place a cohort's mixture on one tube by MAP-EM: shapes stay, everything shifts, each part moves a little.

    Parameters
    ----------
    loose : prior standard deviation of the tube's shift along each axis, in gate units.
    stiffness : pseudo-events that hold each component where the shift puts it.
    together : components of one population, shape (k,): its stain may be brighter or dimmer against the others than in
        the cohort, so they have a displacement of their own in common, which `firmness` pseudo-events hold at none.
    """
    d = data.points.shape[1]
    features = _features(data.points.astype(np.float32))  # it settles long before their last digits matter
    shapes = _precisions(mixture.scales)
    inverse = shapes[0]
    shift, moves, weights = (
        (start.shift, start.moves, start.weights)
        if start
        else (np.zeros(d), np.zeros_like(mixture.means), mixture.weights)
    )
    before, information = -np.inf, np.eye(d)
    common = np.zeros_like(mixture.means)
    one = np.flatnonzero(together) if together is not None else np.zeros(0, dtype=np.intp)
    held = firmness * np.average(inverse[one], axis=0, weights=mixture.weights[one]) if len(one) else np.eye(d)
    for _ in range(iterations):
        placed = replace(mixture, means=mixture.means + shift + common + moves, weights=weights)
        events, sums, after = _step(placed, features, data.counts, 1 + d, shapes)
        weights = (events + 1.0) / (data.total + mixture.size)
        masses, firsts = sums[:, 0], sums[:, 1:]
        information = np.eye(d) / loose**2 + np.einsum("k,kij->ij", masses, inverse)
        target = np.einsum("kij,kj->i", inverse, firsts - masses[:, None] * (mixture.means + common + moves))
        shift = np.linalg.solve(information, target)
        if len(one):
            gaps = firsts[one] - masses[one, None] * (mixture.means[one] + shift + moves[one])
            pull = held + np.einsum("k,kij->ij", masses[one], inverse[one])
            common[one] = np.linalg.solve(pull, np.einsum("kij,kj->i", inverse[one], gaps))
        moves = (firsts - masses[:, None] * (mixture.means + shift + common)) / (masses + stiffness)[:, None]
        if abs(after - before) < tolerance:
            break
        before = after
    return Placement(shift, common + moves, weights, information, before)


def marginal(mixture: Mixture, columns: list[int]) -> Mixture:
    """The mixture on some of its axes."""
    return replace(mixture, means=mixture.means[:, columns], scales=mixture.scales[:, columns][:, :, columns])
