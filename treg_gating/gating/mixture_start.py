"""Where the fit of a cohort's mixture begins: the bulk, and what stands out of it in the directions of the markers.

A mixture fitted from random places often ends where one component covers a small population together with the tail
of a large one. Starting from a coarse partition that knows the markers' directions ends at a higher likelihood and at
nearly the same place whatever the seed.

Source: the spread of a negative peak from its outer half, mirrored (Roederer, Cytometry 2001, for backgrounds without
a control); k-means++ (Arthur & Vassilvitskii 2007) within the parts.
Fails: where most events are of the population sought, so that the mode is not the bulk's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import Mixture
from treg_gating.gating.mixture_fit import fit_each, fit_mixture, likeliest
from treg_gating.smoothing import smooth

__all__ = [
    "best_mixture",
    "split_sides",
    "spread_seeds",
    "standing_out",
    "structured_starts",
]

Array = NDArray[np.float64]
STEP = 0.02  # gate units
TRIES = 6
SHORT = 20  # steps; after ten some starts that end best are still behind
PATIENCE = 3.0  # see `fit_each`
SMOOTHING = 2.0  # bins
ONE_SD = 0.683  # of a half normal lies within one SD of its mode
STANDS_OUT = 2.0  # spreads
ON_THE_WAY = 0.5  # spreads
LEAST_SUM = {2: 5.0, 3: 6.0}  # spreads, all markers together
LEAST_EVENTS = 20.0  # for a part of its own


def structured_starts(
    data: Binned, signs: Array, size: int, nu: float, *, floor: float, seeds: Iterable[int]
) -> list[Mixture]:
    """Components for the bulk, for what stands out on one marker, and for the population sought.

    With two markers alone, cells that are bright on the first and a little low on the second may belong to the
    population's lower tail or be a population on the way to it (activated cells). The likelihood hardly tells which, so
    every other start gives them components of their own, and the others leave them to their neighbours.

    Parameters
    ----------
    data : events; the first columns are the markers of `signs`, one behind them is context.
    signs : +1 or −1 for two or three markers, the direction of the population sought.
    size : components; the parts get one each, and the widest and fullest parts the rest.
    floor : least standard deviation along any axis, gate units. seeds : one for each start.
    """
    ways = _parts(data, signs)
    size = max(size, *(len(parts) for parts in ways))  # all are of one size
    plans = [_Plan.of(parts, size, floor) for parts in ways]
    return [plans[seed % len(plans)].start(seed, nu) for seed in seeds]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Parts of the events, and how many components each gets; one entry a part."""

    parts: Sequence[Binned]
    centres: Sequence[Array]
    scatters: Sequence[Array]
    numbers: NDArray[np.intp]

    @classmethod
    def of(cls, parts: Sequence[Binned], size: int, floor: float) -> _Plan:
        centres = [np.average(part.points, weights=part.counts, axis=0) for part in parts]
        scatters = [_covariance(part.points, part.counts, floor) for part in parts]
        room = np.array([part.total * np.trace(scatter) for part, scatter in zip(parts, scatters, strict=True)])
        numbers = np.ones(len(parts), dtype=np.intp)
        while numbers.sum() < size:
            numbers[int(np.argmax(room / numbers))] += 1
        return cls(parts, centres, scatters, numbers)

    def start(self, seed: int, nu: float) -> Mixture:
        rng = np.random.default_rng(seed)
        each = list(zip(self.parts, self.numbers, self.centres, self.scatters, strict=True))
        means = [
            spread_seeds(part, int(number), [rng], centre, np.asarray(np.linalg.inv(scatter)))[0]
            for part, number, centre, scatter in each
        ]
        scales = [np.repeat(scatter[None] / np.sqrt(number), number, axis=0) for _, number, _, scatter in each]
        weights = np.repeat([part.total for part in self.parts] / self.numbers, self.numbers)
        return Mixture(np.concatenate(means), np.concatenate(scales), weights / weights.sum(), nu)


def _parts(data: Binned, signs: Array) -> list[list[Binned]]:
    """Events apart by side of the context and by what they stand out on; with two markers, in two ways."""
    n = len(signs)
    sides = split_sides(data, n)
    z = np.empty((len(data.points), n))
    for side in np.unique(sides):
        here = sides == side
        for at, sign in enumerate(signs):
            z[here, at] = standing_out(sign * data.points[here, at], data.counts[here])
    sought = (z[:, -1] > (STANDS_OUT if n > 2 else 0.75 * STANDS_OUT)) & (z.sum(axis=1) > LEAST_SUM[n])
    sought &= z[:, 0] > (0.0 if n > 2 else STANDS_OUT)
    kind = np.where(sought, 3, np.where(z[:, 0] > STANDS_OUT, 1, np.where(z[:, 1] > STANDS_OUT, 2, 0)))
    on_the_way = np.where((kind == 1) & (z[:, 1] > ON_THE_WAY), 4, kind)
    return [_apart(data, one + 5 * sides) for one in ((on_the_way, kind) if n == 2 else (kind,))]


def _apart(data: Binned, kind: NDArray[np.intp]) -> list[Binned]:
    """The events of every kind that is more than a few."""
    kinds = [kind == value for value in np.unique(kind)]
    kept = [part for part in kinds if data.counts[part].sum() >= LEAST_EVENTS]
    return [Binned(data.points[part], data.counts[part]) for part in kept or [np.ones(len(kind), dtype=bool)]]


def split_sides(data: Binned, column: int) -> NDArray[np.intp]:
    """0 or 1 for events low or high on a context marker (two means in one dimension); all 0 without the column."""
    if data.points.shape[1] <= column:
        return np.zeros(len(data.points), dtype=np.intp)
    values, counts = data.points[:, column], data.counts
    cut = float(values.min() + values.max()) / 2
    for _ in range(20):
        high = values >= cut
        if not high.any() or high.all():
            return np.zeros(len(values), dtype=np.intp)
        before, cut = cut, sum(float(np.average(values[at], weights=counts[at])) for at in (high, ~high)) / 2
        if cut == before:
            break
    return (values >= cut).astype(np.intp)


def standing_out(values: Array, counts: Array) -> Array:
    """Distance above the mode, in the spread of the half below it (the half that no positive cell widens)."""
    edges = np.arange(values.min() - STEP, values.max() + 2 * STEP, STEP)
    histogram = np.histogram(values, edges, weights=counts)[0]
    mode = float(edges[int(np.argmax(smooth(histogram, SMOOTHING)))]) + STEP / 2
    below = values < mode
    if not below.any():
        return np.asarray((values - mode) / STEP)
    distance, order = mode - values[below], np.argsort(mode - values[below], kind="stable")
    mass = np.cumsum(counts[below][order])
    spread = float(distance[order][int(np.searchsorted(mass, ONE_SD * mass[-1]))])
    return np.asarray((values - mode) / max(spread, STEP / 2))


def _covariance(points: Array, counts: Array, floor: float) -> Array:
    d = points.shape[1]
    covariance = np.cov(points.T, aweights=counts, ddof=0).reshape(d, d)
    return np.asarray(covariance + floor**2 * np.eye(d))


def best_mixture(levels: Sequence[Binned], size: int, nu: float, *, floor: float, tries: int = TRIES) -> Mixture:
    """Of several k-means++ starts the one with the best likelihood after a short EM, fitted to the end.

    Parameters
    ----------
    levels : the same events in ever more bins: the first are enough to tell a good start from a bad one, the others to
        come nearer to the end.
    """
    first = levels[0]
    starts = _spread_starts(first, size, nu, tries)
    tried = fit_each(first, starts, floor=floor, iterations=SHORT, tolerance=1e-4, single=True, patience=PATIENCE)
    best = likeliest(first, tried)
    for data in levels:
        best = fit_mixture(data, best, floor=floor, single=True)
    return best


def _spread_starts(data: Binned, size: int, nu: float, tries: int) -> list[Mixture]:
    """Mixtures that begin at k-means++ seeds; the same for the same data."""
    centre = data.counts @ data.points / data.total
    apart = data.points - centre
    spread = (data.counts[:, None] * apart).T @ apart / data.total
    metric = np.asarray(np.linalg.inv(spread), dtype=np.float64)
    scales, weights = np.repeat(spread[None] / max(size, 2), size, axis=0), np.full(size, 1 / size)
    rngs = [np.random.default_rng(seed) for seed in range(tries)]
    return [Mixture(means, scales, weights, nu) for means in spread_seeds(data, size, rngs, centre, metric)]


def spread_seeds(data: Binned, size: int, rngs: Sequence[np.random.Generator], first: Array, metric: Array) -> Array:
    """k-means++ seeds (Arthur & Vassilvitskii 2007) under a Mahalanobis metric, after `first`, once for each generator.

    Shape (rngs, size, d).
    """
    seeds, nearest = [np.repeat(first[None], len(rngs), axis=0)], np.full((len(rngs), len(data.counts)), np.inf)
    for _ in range(size - 1):
        gaps = data.points - seeds[-1][:, None]
        squares = (gaps @ metric) * gaps
        nearest = np.minimum(nearest, sum(squares[:, :, axis] for axis in range(squares.shape[2])))
        chances = np.cumsum(nearest * data.counts, axis=1)
        drawn = [
            int(upto.searchsorted(rng.random() * upto[-1], side="right"))
            for upto, rng in zip(chances, rngs, strict=True)
        ]
        seeds.append(data.points[np.minimum(drawn, len(data.counts) - 1)])
    return np.stack(seeds, axis=1)
