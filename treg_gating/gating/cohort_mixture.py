"""One mixture for a cohort: tubes aligned and pooled, several starts, components named by their markers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned, thinned
from treg_gating.gating.mixture import Mixture, fit_mixture, place_mixture
from treg_gating.gating.mixture_start import split_sides, structured_start

__all__ = ["learn_mixture", "name_components", "position"]

Array = NDArray[np.float64]
ROUNDS = 3
MEMBERS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the starts in order of the population's share
TUBE_BINS, POOLED_BINS, FINAL_BINS = 3_000, 15_000, 40_000
LEAST_DISPLACEMENT = 1.7  # spreads, mean over the markers
NEAREST_SHARE = 0.6  # of the average displacement of the components that are far
EVENTS_PER_TUBE = 20_000  # a tube counts at most as much as this many events


def learn_mixture(
    tubes: Sequence[Binned],
    *,
    components: int,
    nu: float,
    tie: float,
    starts: int,
    width: float,
    loose: float,
    signs: Array,
) -> tuple[tuple[Mixture, ...], Binned, float]:
    """Align the tubes and fit the mixture they share.

    Alternates between fitting the pooled, shifted events and shifting each tube to fit; then fits the pooled events
    from several starts, and five of the ends on more of them: spread over the starts in order of the share of the
    population that `signs` name, without the outermost where there are enough.

    Returns
    -------
    The mixtures in the cohort's common position; the pooled events there; the range of the population's share over
    the middle of the starts, as a fraction of the median (how far the answer depends on the start).
    """
    small = [thinned(tube, TUBE_BINS) for tube in tubes]
    shifts = _aligned(small, components=components, nu=nu, tie=tie, width=width, loose=loose, signs=signs)
    pooled = thinned(_pooled(small, shifts), POOLED_BINS)

    def fitted(data: Binned, start: Mixture, iterations: int) -> Mixture:
        return fit_mixture(data, start, floor=width / 2, tie=tie, iterations=iterations, tolerance=1e-5)

    def from_seed(seed: int) -> Mixture:
        return fitted(pooled, structured_start(pooled, signs, components, nu, floor=width / 2, seed=seed), 80)

    with ThreadPoolExecutor(min(starts, os.cpu_count() or 1)) as pool:  # numpy lets go of Python's lock
        found = list(pool.map(from_seed, range(starts)))
    shares = np.array([float(mixture.weights[name_components(mixture, signs)].sum()) for mixture in found])
    order = np.argsort(shares, kind="stable")
    order = order[shares[order] > 0]
    if not len(order):
        return (found[0],), pooled, 0.0
    middle = len(order) - 1
    kept = sorted({int(order[round(middle * place)]) for place in MEMBERS}, key=lambda at: float(shares[at]))
    low, high = (shares[order[round(middle * place)]] for place in (MEMBERS[1], MEMBERS[-2]))
    spread = float((high - low) / np.median(shares[order]))
    large = thinned(_pooled(tubes, shifts), FINAL_BINS)
    with ThreadPoolExecutor(min(starts, os.cpu_count() or 1)) as pool:
        final = list(pool.map(lambda at: fitted(large, found[at], 30), kept))
    members = tuple(mixture for mixture in final if name_components(mixture, signs).any())
    return members or (found[order[middle // 2]],), large, spread


def _aligned(
    tubes: Sequence[Binned], *, components: int, nu: float, tie: float, width: float, loose: float, signs: Array
) -> Array:
    """Displacement of every tube, shape (tubes, d), mean zero: by medians first, then by the mixture they share."""
    shifts = np.array([position(tube, len(signs)) for tube in tubes])
    shifts -= shifts.mean(axis=0)
    pooled = thinned(_pooled(tubes, shifts), POOLED_BINS)
    mixture = structured_start(pooled, signs, components, nu, floor=width / 2)
    for _ in range(ROUNDS):
        pooled = thinned(_pooled(tubes, shifts), POOLED_BINS)
        mixture = fit_mixture(pooled, mixture, floor=width / 2, tie=tie, iterations=60, tolerance=1e-5)
        if len(tubes) == 1:
            continue  # it is the common position
        places = [
            place_mixture(mixture, tube, loose=loose, stiffness=np.inf, iterations=30, tolerance=1e-5) for tube in tubes
        ]
        shifts = np.array([place.shift for place in places])
        shifts -= shifts.mean(axis=0)
    return shifts


def name_components(mixture: Mixture, signs: Array) -> NDArray[np.bool_]:
    """Which components are the population sought: displaced in the right direction on every marker.

    The displacement is measured from the median component (by weight), in its spread, within the half of the
    components that are on the same side of the context marker, where there is one: a naive Treg is compared with
    naive cells.

    Parameters
    ----------
    signs : +1 or −1 for the first columns of the mixture; a column behind them is context.
    """
    n = len(signs)
    z = np.zeros((mixture.size, n))
    for side in _sides(mixture, n):
        weights = mixture.weights[side]
        centre = np.array([_weighted_median(mixture.means[side, j], weights) for j in range(n)])
        spread = np.array([_weighted_median(mixture.spreads[side, j], weights) for j in range(n)])
        z[side] = signs * (mixture.means[side][:, :n] - centre) / spread
    return _displaced(z, mixture.weights)


def _displaced(z: Array, weights: Array) -> NDArray[np.bool_]:
    """Far enough on all markers together, and on the last one, which decides; wrong on none.

    And not much nearer than the others that are far, weighted by their events: activated cells lie on the way
    to Tregs. (Not than the farthest: a few odd events far out must not unname the population.)
    """
    least, last = (1.0, 1.0) if z.shape[1] == 2 else (0.0, 1.7)
    mean = z.mean(axis=1)
    far: NDArray[np.bool_] = (z.min(axis=1) >= least) & (z[:, -1] >= last) & (mean >= LEAST_DISPLACEMENT)
    if far.any():
        far &= mean >= NEAREST_SHARE * np.average(mean[far], weights=weights[far])
    return far


def _sides(mixture: Mixture, n: int) -> list[NDArray[np.intp]]:
    everyone = np.arange(mixture.size)
    if mixture.means.shape[1] == n:
        return [everyone]
    context = mixture.means[:, n]
    high = context > (context.min() + context.max()) / 2
    return [side for side in (everyone[high], everyone[~high]) if len(side)]


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    at = int(np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2))
    return float(values[order[min(at, len(order) - 1)]])


def position(tube: Binned, markers: int) -> Array:
    """Where a tube lies, shape (d,): its median on the markers, and on context the middle between its two sides.

    A context marker has two modes of changing size. The median lies in the larger one, and would lay a tube of mostly
    naive cells upon the memory cells of another; the fit that follows does not find out of that.
    """
    medians = [_weighted_median(axis, tube.counts) for axis in tube.points.T]
    for at in range(markers, len(medians)):
        sides = split_sides(tube, at)
        middles = [
            _weighted_median(tube.points[sides == one, at], tube.counts[sides == one]) for one in np.unique(sides)
        ]
        medians[at] = float(np.mean(middles))
    return np.array(medians)


def _pooled(tubes: Sequence[Binned], shifts: Array) -> Binned:
    """All tubes in one, each moved back by its shift."""
    points = np.concatenate([tube.points - shift for tube, shift in zip(tubes, shifts, strict=True)])
    counts = np.concatenate([tube.counts * min(1.0, EVENTS_PER_TUBE / tube.total) for tube in tubes])
    return Binned(points, counts)
