"""One mixture for a cohort: tubes aligned and pooled, several starts, components named by their markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned, bounded
from treg_gating.gating.members import Member, corrected
from treg_gating.gating.mixture import Mixture
from treg_gating.gating.mixture_fit import fit_each, fit_mixture
from treg_gating.gating.mixture_placement import Placement, place_mixture
from treg_gating.gating.mixture_start import split_sides, structured_starts

__all__ = ["Learnt", "learn_mixture", "name_components", "position"]

Array = NDArray[np.float64]
ROUNDS = 3
SETTLED = 1e-5  # gain of log likelihood per event
STOOD = 1e-4  # gate units by which a tube that is aligned moves no more
MEMBERS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the starts in order of the population's share
ROUGH_CELLS, ROUGH_STEPS, COARSE_STEPS, FINE_STEPS = 1_500, 40, 15, 15
TUBE_CELLS, COARSE_CELLS, FINE_CELLS = 1_500, 8_000, 20_000  # of a tube to be aligned; of all that is pooled
LEAST_DISPLACEMENT = 1.7  # spreads, mean over the markers
NEAREST_SHARE = {2: 0.75, 3: 0.6}  # by markers: of the average displacement of the components that are far
LEAST_NU = 3.0  # a t distribution's standard deviation is near infinite below
EVENTS_PER_TUBE = 20_000  # a tube counts at most as much as this many events
SHOWN_TUBES = 8  # whose events are given back as they are, to draw a line on


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a cohort taught.

    Parameters
    ----------
    members : mixtures in the cohort's common position, with the components that are the population.
    shown : events of up to eight tubes there, not merged.
    spread : range of the population's share over the middle of the starts, or over the members where the dim marker
        corrected them, as a fraction of the median (how far the answer depends on the start).
    doubt : why the dim marker was not used; None where there was none.
    """

    members: tuple[Member, ...]
    shown: Binned
    spread: float
    doubt: str | None = None


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
) -> Learnt:
    """Align the tubes and fit the mixture they share.

    Alternates between fitting the pooled, shifted events and shifting each tube to fit; then fits the pooled events
    from several starts, and five of the ends on finer cells: spread over the starts in order of the share of the
    population that `signs` name, without the outermost where there are enough.

    Bins are merged so that there are never more of them than a bound, however many tubes and events there are; every
    event stays in, at the mean of its cell (Verbeek, Nunnink & Vlassis, Data Min Knowl Discov 2006, fit mixtures to
    cells in the same way).

    Where a marker besides those of the line decides, the population has a spread of its own on the first marker in
    these last steps: CD25 spreads as it will, and FOXP3 tells whose cells they are. (On FOXP3 itself the population
    would spread over the cells on the way to it.)

    Where the tubes have a dim marker beside their events, it corrects these ends (`gating/members.py`).
    """
    shifts = _aligned(tubes, components=components, nu=nu, tie=tie, width=width, loose=loose, signs=signs)
    fine = bounded(_pooled(tubes, shifts), FINE_CELLS, width)
    coarse = bounded(fine, min(COARSE_CELLS, len(fine.counts) // 2), width)
    some = np.unique(np.linspace(0, len(tubes) - 1, SHOWN_TUBES).round().astype(np.intp))
    shown = _pooled([tubes[at] for at in some], shifts[some])

    fitted = partial(fit_each, floor=width / 2, tie=tie, tolerance=SETTLED, single=True)
    found = structured_starts(fine, signs, components, nu, floor=width / 2, seeds=range(starts))
    for data, steps in ((bounded(fine, ROUGH_CELLS, width), ROUGH_STEPS), (coarse, COARSE_STEPS)):
        found = fitted(data, found, iterations=steps)
    shares = np.array([float(mixture.weights[name_components(mixture, signs)].sum()) for mixture in found])
    order = np.argsort(shares, kind="stable")
    order = order[shares[order] > 0]
    if not len(order):
        return Learnt((_named(found[0], signs),), shown, 0.0)
    middle = len(order) - 1
    kept = sorted({int(order[round(middle * place)]) for place in MEMBERS}, key=lambda at: float(shares[at]))
    low, high = (shares[order[round(middle * place)]] for place in (MEMBERS[1], MEMBERS[-2]))
    spread = float((high - low) / np.median(shares[order]))
    chosen = [found[at] for at in kept]
    own = ([name_components(one, signs) for one in chosen], 0) if len(signs) > 2 else None
    final = [_named(end, signs) for end in fitted(fine, chosen, iterations=FINE_STEPS, own=own)]
    members = tuple(one for one in final if one.wanted.any()) or (_named(found[order[middle // 2]], signs),)
    if fine.beside is None:
        return Learnt(members, shown, spread)
    members, doubt = corrected(members, fine, floor=width / 2, tie=tie)
    if not doubt:
        spread = (members[-1].share - members[0].share) / members[len(members) // 2].share
    return Learnt(members, shown, spread, doubt)


def _named(mixture: Mixture, signs: Array) -> Member:
    return Member(mixture, name_components(mixture, signs))


def _aligned(
    tubes: Sequence[Binned], *, components: int, nu: float, tie: float, width: float, loose: float, signs: Array
) -> Array:
    """Displacement of every tube, shape (tubes, d), mean zero: by medians first, then by the mixture they share."""
    shifts = np.array([position(tube, len(signs)) for tube in tubes])
    if len(tubes) == 1:
        return np.zeros_like(shifts)  # it is the common position
    shifts -= shifts.mean(axis=0)
    pooled = bounded(_pooled(tubes, shifts), FINE_CELLS, width)
    (mixture,) = structured_starts(pooled, signs, components, nu, floor=width / 2, seeds=(0,))
    small = [bounded(tube, TUBE_CELLS, width) for tube in tubes]
    places: list[Placement | None] = [None] * len(tubes)
    for _ in range(ROUNDS):
        pooled = bounded(_pooled(small, shifts), COARSE_CELLS, width)
        mixture = fit_mixture(pooled, mixture, floor=width / 2, tie=tie, iterations=30, tolerance=SETTLED)
        found = [
            place_mixture(mixture, tube, loose=loose, stiffness=np.inf, iterations=30, tolerance=STOOD, start=place)
            for tube, place in zip(small, places, strict=True)
        ]
        shifts = np.array([place.shift for place in found])
        shifts -= shifts.mean(axis=0)
        places = [replace(place, shift=shift) for place, shift in zip(found, shifts, strict=True)]
    return shifts


def name_components(mixture: Mixture, signs: Array) -> NDArray[np.bool_]:
    """Which components are the population sought: displaced in the right direction on every marker.

    The displacement is measured from the median component (by weight), in its standard deviation, within the half of
    the components that are on the same side of the context marker, where there is one: a naive Treg is compared with
    naive cells.

    Parameters
    ----------
    signs : +1 or −1 for the first columns of the mixture; a column behind them is context.
    """
    n = len(signs)
    z = np.zeros((mixture.size, n))
    nu = max(mixture.nu, LEAST_NU)
    deviations = mixture.spreads * np.sqrt(nu / (nu - 2))
    for side in _sides(mixture, n):
        weights, means = mixture.weights[side], mixture.means[side, :n]
        z[side] = signs * (means - _weighted_medians(means, weights)) / _weighted_medians(deviations[side, :n], weights)
    return _displaced(z, mixture.weights)


def _displaced(z: Array, weights: Array) -> NDArray[np.bool_]:
    """Far enough on all markers together, and on the last one, which decides; clearly wrong on none.

    And not much nearer than the others that are far, weighted by their events: activated cells lie on the way
    to Tregs. (Not than the farthest: a few odd events far out must not unname the population.)
    """
    least, last = (1.0, 1.0) if z.shape[1] == 2 else (-0.25, 1.7)
    mean = z.mean(axis=1)
    far: NDArray[np.bool_] = (z.min(axis=1) >= least) & (z[:, -1] >= last) & (mean >= LEAST_DISPLACEMENT)
    if far.any():
        far &= mean >= NEAREST_SHARE[z.shape[1]] * np.average(mean[far], weights=weights[far])
    return far


def _sides(mixture: Mixture, n: int) -> list[NDArray[np.intp]]:
    everyone = np.arange(mixture.size)
    if mixture.means.shape[1] == n:
        return [everyone]
    context = mixture.means[:, n]
    high = context > (context.min() + context.max()) / 2
    return [side for side in (everyone[high], everyone[~high]) if len(side)]


def _weighted_medians(values: Array, weights: Array) -> Array:
    """Of each column of `values`, shape (n, d)."""
    order = np.argsort(values, axis=0, kind="stable")
    at = (np.cumsum(weights[order], axis=0) < weights.sum() / 2).sum(axis=0)
    columns = np.arange(values.shape[1])
    return np.asarray(values[order[np.minimum(at, len(values) - 1), columns], columns])


def position(tube: Binned, markers: int) -> Array:
    """Where a tube lies, shape (d,): its median on the markers, and on context the middle between its two sides.

    A context marker has two modes of changing size. The median lies in the larger one, and would lay a tube of mostly
    naive cells upon the memory cells of another; the fit that follows does not find out of that.
    """
    medians = _weighted_medians(tube.points, tube.counts)
    for at in range(markers, len(medians)):
        sides = split_sides(tube, at)
        parts = [sides == one for one in np.unique(sides)]
        medians[at] = np.mean([_weighted_medians(tube.points[part, at, None], tube.counts[part]) for part in parts])
    return medians


def _pooled(tubes: Sequence[Binned], shifts: Array) -> Binned:
    """All tubes in one, each moved back by its shift."""
    points = np.concatenate([tube.points - shift for tube, shift in zip(tubes, shifts, strict=True)])
    counts = np.concatenate([tube.counts * min(1.0, EVENTS_PER_TUBE / tube.total) for tube in tubes])
    beside = [tube.beside for tube in tubes if tube.beside is not None]
    return Binned(points, counts, beside=np.concatenate(beside) if len(beside) == len(tubes) else None)
