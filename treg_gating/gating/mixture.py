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
    "start_mixture",
    "thinned",
]

Array = NDArray[np.float64]
MINIMUM_MASS = 5.0  # events below which a component keeps its place and shape


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
    n, d = points.shape
    log_density = np.empty((n, mixture.size))
    precision = np.empty((n, mixture.size))
    constant = lgamma((mixture.nu + d) / 2) - lgamma(mixture.nu / 2) - d / 2 * np.log(mixture.nu * np.pi)
    for k in range(mixture.size):
        root = np.linalg.inv(np.linalg.cholesky(mixture.scales[k]))
        distance = (((points - mixture.means[k]) @ root.T) ** 2).sum(axis=1)
        log_density[:, k] = (
            np.log(max(mixture.weights[k], 1e-300))
            + constant
            + np.log(np.diag(root)).sum()
            - (mixture.nu + d) / 2 * np.log1p(distance / mixture.nu)
        )
        precision[:, k] = (mixture.nu + d) / (mixture.nu + distance)
    top = log_density.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(log_density - top).sum(axis=1))
    return np.exp(log_density - total[:, None]), precision, total


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
    ridge = floor**2 * np.eye(data.points.shape[1])
    for _ in range(iterations):
        posterior, precision, log_density = expectation(mixture, data.points)
        after = float(data.counts @ log_density / data.total)
        mass = posterior * data.counts[:, None]
        masses = mass.sum(axis=0)
        pull = mass * precision
        means = (pull.T @ data.points) / np.maximum(pull.sum(axis=0), 1e-300)[:, None]
        alive = masses >= MINIMUM_MASS
        means = np.where(alive[:, None], means, mixture.means)
        scatter = np.array([_scatter(data.points - means[k], pull[:, k]) for k in range(mixture.size)])
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


def _scatter(centred: Array, pull: Array) -> Array:
    scatter: Array = (centred * pull[:, None]).T @ centred
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
    inverse = np.linalg.inv(mixture.scales)
    shift, moves, weights = (
        (start.shift, start.moves, start.weights)
        if start
        else (np.zeros(d), np.zeros_like(mixture.means), mixture.weights)
    )
    before, information = -np.inf, np.eye(d)
    for _ in range(iterations):
        placed = replace(mixture, means=mixture.means + shift + moves, weights=weights)
        posterior, precision, log_density = expectation(placed, data.points)
        after = float(data.counts @ log_density / data.total)
        mass = posterior * data.counts[:, None]
        weights = (mass.sum(axis=0) + 1.0) / (data.total + mixture.size)
        pull = mass * precision
        masses, firsts = pull.sum(axis=0), pull.T @ data.points
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
    means = _plus_plus(data, size, rng, centre, np.asarray(np.linalg.inv(spread), dtype=np.float64))
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


def _plus_plus(data: Binned, size: int, rng: np.random.Generator, first: Array, metric: Array) -> Array:
    """k-means++ seeds (Arthur & Vassilvitskii 2007) under a Mahalanobis metric, the first at the centre."""
    seeds = [first]
    for _ in range(size - 1):
        gaps = data.points[None] - np.array(seeds)[:, None]
        nearest = np.einsum("snd,de,sne->sn", gaps, metric, gaps).min(axis=0)
        chance = nearest * data.counts
        seeds.append(data.points[rng.choice(len(chance), p=chance / chance.sum())])
    return np.array(seeds)
