"""Student-t mixtures on binned events: the arithmetic under the ellipse and the aligned mixture.

Events enter as a sparse histogram (bin centres with counts), so that time and memory are bounded however
many events a tube has, the result does not depend on their order, and no event leaves the worker.

A t distribution with few degrees of freedom carries the heavy tails of real stains that would otherwise claim a
component of their own (Peel & McLachlan, Stat Comput 2000; Lo et al., Cytometry A 2008, for flow cytometry).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Binned",
    "Mixture",
    "Placement",
    "best_mixture",
    "bin_events",
    "expectation",
    "fit_mixture",
    "marginal",
    "place_mixture",
    "spread_seeds",
    "start_mixture",
    "thinned",
]

Array = NDArray[np.float64]
MINIMUM_MASS = 5.0  # events below which a component keeps its place and shape
BLOCK = 4096  # points whose E step fits the processor's cache


@dataclass(frozen=True, eq=False)
class Binned:
    """A sparse histogram.

    Parameters
    ----------
    points : centres of the occupied bins, shape (n, d), in gate units.
    counts : events per bin, shape (n,).
    """

    points: Array
    counts: Array

    @property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())


def bin_events(events: Array, width: float) -> Binned:
    """Sparse histogram of finite events, shape (n, d), with bins of `width` gate units."""
    finite = events[np.isfinite(events).all(axis=1)]
    cells = np.floor(finite / width).astype(np.int64)
    low = cells.min(axis=0, initial=0)
    spans = cells.max(axis=0, initial=0) - low + 1
    keys = np.ravel_multi_index(tuple((cells - low).T), tuple(spans)) if len(cells) else np.zeros(0, np.int64)
    unique, counts = np.unique(keys, return_counts=True)
    corners = np.column_stack(np.unravel_index(unique, tuple(spans))) + low
    return Binned((corners + 0.5) * width, counts.astype(np.float64))


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
    shift : shape (d,), the tube's displacement of all components. moves : shape (k, d), of each on top of it.
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
    posterior, precision, total = _expectation(mixture, _features(points))
    return posterior.T, precision.T, total


def _expectation(
    mixture: Mixture, quadratic: Array, into: tuple[Array, Array, Array] | None = None
) -> tuple[Array, Array, Array]:
    """E step from the transposed :func:`_features`; arrays of shape (k, n), which numpy reduces fastest.

    Parameters
    ----------
    into : arrays of an earlier step to write into. A fit takes hundreds of steps; fresh memory for each costs more than
        the arithmetic, as does memory beyond the processor's cache: hence also the blocks.
    """
    d = mixture.means.shape[1]
    half = (mixture.nu + d) / 2
    constant = lgamma(half) - lgamma(mixture.nu / 2) - d / 2 * np.log(mixture.nu * np.pi)
    coefficients, half_log_determinants = _quadratic_forms(mixture)
    heights = (np.log(np.maximum(mixture.weights, 1e-300)) + constant + half_log_determinants)[:, None]
    shape = (mixture.size, quadratic.shape[1])
    posterior, precision, log_density = into or (np.empty(shape), np.empty(shape), np.empty(shape[1]))
    for first in range(0, shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        scaled = coefficients @ quadratic[:, block]
        np.maximum(scaled, 0.0, out=scaled)
        scaled /= mixture.nu
        scaled += 1.0
        np.divide((mixture.nu + d) / mixture.nu, scaled, out=precision[:, block])
        chance = np.log(scaled, out=scaled)
        chance *= half
        np.subtract(heights, chance, out=chance)
        top = chance.max(axis=0)
        chance -= top
        total = np.exp(chance, out=chance).sum(axis=0)
        np.divide(chance, total, out=posterior[:, block])
        log_density[block] = top + np.log(total)
    return posterior, precision, log_density


def _features(points: Array) -> Array:
    """The monomials 1, x_i and x_i x_j (i ≤ j) of points (n, d), shape ((d + 1)(d + 2)/2, n).

    All distances of an E step, and all sums of an M step, are one matrix product with them.
    """
    rows, columns = np.triu_indices(points.shape[1])
    axes = points.T
    return np.vstack([np.ones((1, len(points))), axes, axes[rows] * axes[columns]])


def _quadratic_forms(mixture: Mixture) -> tuple[Array, Array]:
    """Mahalanobis distances as linear functions of :func:`_features`, and minus half the log determinants."""
    roots = np.linalg.inv(np.linalg.cholesky(mixture.scales))
    precisions = np.swapaxes(roots, 1, 2) @ roots
    pulled = np.einsum("kij,kj->ki", precisions, mixture.means)
    rows, columns = np.triu_indices(mixture.means.shape[1])
    squares = precisions[:, rows, columns] * np.where(rows == columns, 1.0, 2.0)
    constants = np.einsum("ki,ki->k", pulled, mixture.means)
    coefficients = np.column_stack([constants, -2 * pulled, squares])
    return coefficients, np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)


def fit_mixture(
    data: Binned, start: Mixture, *, floor: float, tie: float = 0.0, iterations: int = 200, tolerance: float = 1e-6
) -> Mixture:
    """EM from a start.

    Parameters
    ----------
    floor : least standard deviation of a component along any axis, in gate units; keeps one from collapsing.
    tie : strength of the prior that all components have the same shape, as a share of all events: each scale
        matrix is drawn to the average within-component scatter by that many pseudo-events. It keeps a component
        from spreading over two populations; a population that is wider or skewed takes several components.
    tolerance : stop when the log likelihood per event gains less.
    """
    mixture, before = start, -np.inf
    d = data.points.shape[1]
    ridge = floor**2 * np.eye(d)
    quadratic = _features(data.points)
    step: tuple[Array, Array, Array] | None = None
    for _ in range(iterations):
        step = posterior, precision, log_density = _expectation(mixture, quadratic, step)
        after = float(data.counts @ log_density / data.total)
        posterior *= data.counts
        masses = posterior.sum(axis=1)
        posterior *= precision
        sums = posterior @ quadratic.T
        means = sums[:, 1 : 1 + d] / np.maximum(sums[:, :1], 1e-300)
        alive = masses >= MINIMUM_MASS
        means = np.where(alive[:, None], means, mixture.means)
        scatter = _scatters(sums, means)
        pseudo = tie * data.total
        pooled = scatter.sum(axis=0) / data.total
        scales = (scatter + pseudo * pooled) / np.maximum(masses + pseudo, 1e-300)[:, None, None] + ridge
        scales = np.where(alive[:, None, None], scales, mixture.scales)
        weights = (masses + 1.0) / (data.total + mixture.size)
        mixture = replace(mixture, means=means, scales=scales, weights=weights)
        if after - before < tolerance:
            break
        before = after
    return mixture


def _scatters(sums: Array, means: Array) -> Array:
    """Scatter matrices about given means, shape (k, d, d), from weighted sums of :func:`_features`."""
    d = means.shape[1]
    rows, columns = np.triu_indices(d)
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
) -> Placement:
    """Place a cohort's mixture on one tube by MAP-EM: shapes stay, everything shifts, each part moves a little.

    Parameters
    ----------
    loose : prior standard deviation of the tube's shift along each axis, in gate units.
    stiffness : pseudo-events that hold each component where the shift puts it.
    """
    d = data.points.shape[1]
    quadratic = _features(data.points)
    inverse = np.linalg.inv(mixture.scales)
    shift, moves, weights = (
        (start.shift, start.moves, start.weights)
        if start
        else (np.zeros(d), np.zeros_like(mixture.means), mixture.weights)
    )
    before, information = -np.inf, np.eye(d)
    step: tuple[Array, Array, Array] | None = None
    for _ in range(iterations):
        placed = replace(mixture, means=mixture.means + shift + moves, weights=weights)
        step = posterior, precision, log_density = _expectation(placed, quadratic, step)
        after = float(data.counts @ log_density / data.total)
        posterior *= data.counts
        weights = (posterior.sum(axis=1) + 1.0) / (data.total + mixture.size)
        posterior *= precision
        masses, firsts = posterior.sum(axis=1), posterior @ data.points
        information = np.eye(d) / loose**2 + np.einsum("k,kij->ij", masses, inverse)
        target = np.einsum("kij,kj->i", inverse, firsts - masses[:, None] * (mixture.means + moves))
        shift = np.linalg.solve(information, target)
        moves = (firsts - masses[:, None] * (mixture.means + shift)) / (masses + stiffness)[:, None]
        if abs(after - before) < tolerance:
            break
        before = after
    return Placement(shift, moves, weights, information, before)


def start_mixture(data: Binned, size: int, nu: float, *, floor: float, tie: float = 0.0, seed: int = 0) -> Mixture:
    """k-means++ start and a short EM; the same for the same data and seed."""
    rng = np.random.default_rng(seed)
    centre = data.counts @ data.points / data.total
    spread = np.asarray(np.cov(data.points.T, aweights=data.counts), dtype=np.float64)
    spread = spread.reshape(data.points.shape[1], -1)
    means = spread_seeds(data, size, rng, centre, np.asarray(np.linalg.inv(spread), dtype=np.float64))
    scales = np.repeat(spread[None] / max(size, 2), size, axis=0)
    start = Mixture(means, scales, np.full(size, 1 / size), nu)
    return fit_mixture(data, start, floor=floor, tie=tie, iterations=40, tolerance=1e-5)


def best_mixture(data: Binned, size: int, nu: float, *, floor: float, tries: int = 4) -> Mixture:
    """Of several starts the one with the best likelihood, fitted to the end."""
    starts = [start_mixture(data, size, nu, floor=floor, seed=seed) for seed in range(tries)]
    best = max(starts, key=lambda one: float(data.counts @ expectation(one, data.points)[2]))
    return fit_mixture(data, best, floor=floor)


def marginal(mixture: Mixture, columns: list[int]) -> Mixture:
    """The mixture on some of its axes."""
    return replace(mixture, means=mixture.means[:, columns], scales=mixture.scales[:, columns][:, :, columns])


def thinned(data: Binned, size: int) -> Binned:
    """At most `size` bins: every n-th in lexicographic order, which depends on nothing but the values."""
    n = len(data.points)
    if n <= size:
        return data
    order = np.lexsort(data.points.T[::-1])
    kept = order[(np.arange(size) * (n / size)).astype(np.intp)]
    return Binned(data.points[kept], data.counts[kept])


def spread_seeds(data: Binned, size: int, rng: np.random.Generator, first: Array, metric: Array) -> Array:
    """k-means++ seeds (Arthur & Vassilvitskii 2007) under a Mahalanobis metric, after `first`; shape (size, d)."""
    seeds = [first]
    for _ in range(size - 1):
        gaps = data.points[None] - np.array(seeds)[:, None]
        nearest = np.einsum("snd,de,sne->sn", gaps, metric, gaps).min(axis=0)
        chance = nearest * data.counts
        seeds.append(data.points[rng.choice(len(chance), p=chance / chance.sum())])
    return np.array(seeds)
