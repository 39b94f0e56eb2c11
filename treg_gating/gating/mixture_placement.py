"""Place a cohort's Student-t mixture on one tube."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import EStep, Mixture, precisions

__all__ = ["Placement", "place_mixture"]

Array = NDArray[np.float64]


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
    d, size = data.points.shape[1], mixture.size
    step = EStep(data.points.astype(np.float32), data.counts, size)  # it settles long before the last digits
    shapes = precisions(mixture.scales)
    inverse = shapes[0]
    flat, across = inverse.reshape(size, d * d), _side_by_side(inverse)
    shift, moves, weights = (
        (start.shift, start.moves, start.weights)
        if start
        else (np.zeros(d), np.zeros_like(mixture.means), mixture.weights)
    )
    before, prior = -np.inf, np.eye(d) / loose**2
    information, common = prior, np.zeros_like(mixture.means)
    one = np.flatnonzero(together) if together is not None else np.zeros(0, dtype=np.intp)
    across_one = _side_by_side(inverse[one])
    held = firmness * np.average(inverse[one], axis=0, weights=mixture.weights[one]) if len(one) else np.eye(d)
    for _ in range(iterations):
        placed = replace(mixture, means=mixture.means + shift + common + moves, weights=weights)
        events, sums, likelihood = step(placed, 1 + d, shapes)
        weights = (events + 1.0) / (data.total + size)
        masses, firsts = sums[:, 0], sums[:, 1:]
        information = prior + (masses @ flat).reshape(d, d)
        gaps = firsts - masses[:, None] * (mixture.means + common + moves)
        shift = np.asarray(np.linalg.solve(information, across @ gaps.ravel()), dtype=np.float64)
        if len(one):
            gaps = firsts[one] - masses[one, None] * (mixture.means[one] + shift + moves[one])
            pull = held + (masses[one] @ flat[one]).reshape(d, d)
            common[one] = np.linalg.solve(pull, across_one @ gaps.ravel())
        moves = (firsts - masses[:, None] * (mixture.means + shift + common)) / (masses + stiffness)[:, None]
        after = float(likelihood[0])
        if abs(after - before) < tolerance:
            break
        before = after
    return Placement(shift, common + moves, weights, information, before)


def _side_by_side(matrices: Array) -> Array:
    """Matrices (k, d, d) as one of shape (d, k · d), so that one product with k vectors is the sum of all."""
    return np.concatenate(list(matrices), axis=1) if len(matrices) else np.empty((0, 0))
