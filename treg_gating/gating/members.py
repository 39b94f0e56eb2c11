"""A cohort's mixtures: each with the components that are the population, as learnt, corrected, and on one tube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.dim_marker import IN_PROPORTION, UNMOVED, Correction, correction, recalibrated
from treg_gating.gating.mixture import Mixture, Posterior, marginal
from treg_gating.gating.mixture_fit import fit_mixture

__all__ = ["CONTRADICTED", "UNSEEN", "EachProbability", "Member", "corrected", "each_probability", "restored", "stored"]

Array = NDArray[np.float64]
CORRECTIONS, APART_STEPS = 2, 30
SETTLED = 1e-5  # gain of log likelihood per event
AGREED = 0.1  # range of the population's share over the corrected members, of itself
UNSEEN = "the population is not seen to carry less of it, or there are too few events to tell"
CONTRADICTED = "it contradicts what the mixture takes for the population"


@dataclass(frozen=True, eq=False)
class Member:
    """A mixture, which of its components are the population, shape (k,), and what its probability is moved by."""

    mixture: Mixture
    wanted: NDArray[np.bool_]
    moved: tuple[float, float] = UNMOVED

    @property
    def share(self) -> float:
        """Of the population, by the components' weights."""
        return float(self.mixture.weights[self.wanted].sum())


class EachProbability:
    """Of the population at any points by each of the members; `shapes` as in :class:`Posterior`."""

    def __init__(self, members: Sequence[Member], shapes: tuple[Array, Array] | None = None) -> None:
        self._posterior = Posterior([(one.mixture, one.wanted) for one in members], shapes)
        self._moved = [one.moved for one in members]

    def some(self, those: Sequence[int]) -> EachProbability:
        """By those of the members, in this order."""
        few = copy(self)
        few._posterior, few._moved = self._posterior.some(those), [self._moved[at] for at in those]
        return few

    def __call__(self, points: Array) -> Array:
        """At `points`, shape (n, d); shape (members, n)."""
        found = self._posterior(points)
        for row, by in zip(found, self._moved, strict=True):
            row[:] = recalibrated(row, by)
        return found


def each_probability(members: Sequence[Member], points: Array) -> Array:
    """Of the population at `points`, shape (n, d), by each of the members; shape (members, n)."""
    return EachProbability(members)(points)


def stored(members: Sequence[Member]) -> dict[str, Array]:
    """The members as arrays, one entry a member each: part of what a cohort model holds."""
    return {
        "means": np.array([one.mixture.means for one in members]),
        "scales": np.array([one.mixture.scales for one in members]),
        "weights": np.array([one.mixture.weights for one in members]),
        "wanted": np.array([one.wanted for one in members]),
        "moved": np.array([one.moved for one in members]),
    }


def restored(model: Mapping[str, Any], nu: float, columns: list[int]) -> list[Member]:
    """The members that :func:`stored` has put into a model, on some of their columns."""
    names = ("means", "scales", "weights", "wanted", "moved")
    return [
        Member(marginal(Mixture(means, scales, weights, nu), columns), wanted, (float(moved[0]), float(moved[1])))
        for means, scales, weights, wanted, moved in zip(*(np.asarray(model[name]) for name in names), strict=True)
    ]


def corrected(members: Sequence[Member], cells: Binned, *, floor: float, tie: float) -> tuple[tuple[Member, ...], str]:
    """The members as the dim marker beside the cells corrects them, in order of the population's share.

    Each is fitted again in two parts, the population and the others, to the events as far as they are of either by
    the probability moved; what is left to correct after two such rounds stays beside the member.

    Returns
    -------
    The members as they came where the marker cannot be used for any of them, and why; else no reason.
    """
    found = [_corrected(one, cells, floor=floor, tie=tie) for one in members]
    if any(one is None for one in found):
        return tuple(members), UNSEEN
    better = sorted((one for one in found if isinstance(one, Member)), key=lambda one: one.share)
    shares = [one.share for one in better]
    if len(better) < len(found) or shares[-1] - shares[0] > AGREED * float(np.median(shares)):
        return tuple(members), CONTRADICTED
    return tuple(better), ""


def _corrected(member: Member, cells: Binned, *, floor: float, tie: float) -> Member | Correction | None:
    """The member corrected; what is out of proportion; None where the marker says nothing."""
    before, now = member.share, member
    for rounds_left in reversed(range(CORRECTIONS + 1)):
        posterior = each_probability([now], cells.points)[0]
        said = correction(cells, posterior)
        if said is None or not said.in_proportion:
            return said
        by = said.move, said.slope
        now = (
            _apart(now, cells, recalibrated(posterior, by), floor=floor, tie=tie)
            if rounds_left
            else replace(now, moved=by)
        )
    return now if IN_PROPORTION[0] < now.share / before < IN_PROPORTION[1] else said


def _apart(member: Member, cells: Binned, posterior: Array, *, floor: float, tie: float) -> Member:
    """The components of the population fitted to the events as far as they are of it, the others to the rest."""
    parts = []
    for these, share in ((member.wanted, posterior), (~member.wanted, 1 - posterior)):
        whole, events = member.mixture, replace(cells, counts=cells.counts * share)
        weights = whole.weights[these]
        part = Mixture(whole.means[these], whole.scales[these], weights / weights.sum(), whole.nu)
        part = fit_mixture(events, part, floor=floor, tie=tie, iterations=APART_STEPS, tolerance=SETTLED)
        parts.append(replace(part, weights=part.weights * events.total / cells.total))
    one, rest = parts
    means, scales, weights = (
        np.concatenate(pair)
        for pair in ((one.means, rest.means), (one.scales, rest.scales), (one.weights, rest.weights))
    )
    return Member(Mixture(means, scales, weights, one.nu), np.arange(len(weights)) < one.size)
