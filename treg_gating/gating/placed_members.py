"""A cohort's mixtures on one tube: its markers made even and stretched, each member placed, the middle ones kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned, merged_where_few
from treg_gating.gating.far_side import evened
from treg_gating.gating.members import EachProbability, Member
from treg_gating.gating.mixture_placement import Placement, Placing
from treg_gating.gating.stain_strength import Reach, Stretch, look, middle_of

__all__ = ["PlacedMembers", "place_members"]

Array = NDArray[np.float64]
# Accelerated steps from where the cohort has the members, and from where they were seen to lie on the tube before it
# was stretched; what is left then is about a tenth of a percent of the population.
STEPS, LAST_STEPS, SETTLED = 10, 3, 1e-3
BARELY = 5e-4  # probability of the population below which all bins of a cell are taken for alike
LONE = 4e-5  # share of a tube's events; cells with fewer are made twice as wide


@dataclass(frozen=True, eq=False)
class PlacedMembers:
    """The cohort's mixtures on one tube: what both steps of the tube are drawn from.

    Parameters
    ----------
    stretch : how the last marker was drawn to the cohort's strength, behind its far side.
    places : where the members that are in the middle on this tube, by the population's share, lie.
    posterior : mean of the members, shape (bins,).
    expected : events of the population by each of them, ascending.
    """

    binned: Binned
    stretch: Stretch
    places: tuple[Placement, ...]
    columns: tuple[str, ...]
    posterior: Array
    expected: Array

    @cached_property
    def shift(self) -> Array:
        """The tube's displacement, shape (d,)."""
        return np.asarray(np.mean([place.shift for place in self.places], axis=0))

    @cached_property
    def covariance(self) -> Array:
        """Of the displacement, shape (d, d)."""
        return np.asarray(np.linalg.inv([place.information for place in self.places]).mean(axis=0))

    @cached_property
    def total(self) -> float:
        """Events of the population, by the mean of the members."""
        return float(self.binned.counts @ self.posterior)


def place_members(
    members: Sequence[Member],
    binned: Binned,
    columns: tuple[str, ...],
    signs: Array,
    *,
    width: float,
    reach: float,
    loose: float,
    stiffness: float,
    firmness: float,
) -> PlacedMembers:
    """Place each member on a tube's events; a quarter of them at either end, by the population's share, is left out.

    Parameters
    ----------
    binned : the tube's events on `columns`, the gate's markers first. signs : +1 or −1, one a marker.
    width : of the bins the members are placed on, gate units.
    reach : the cohort's distance of the population on the last marker (`gating/stain_strength.py`), gate units; 0 where
        the tube is not to be stretched to it.
    loose, stiffness, firmness : see :class:`treg_gating.gating.mixture_placement.Placing`.
    """
    even, _ = evened(binned, signs)
    coarse, cell = merged_where_few(even, width, LONE * binned.total)
    placing = Placing(
        [one.mixture for one in members], loose=loose, stiffness=stiffness, together=[one.wanted for one in members]
    )
    stretch, steps = Stretch(len(signs) - 1), STEPS
    if reach:
        stretch, steps = _stretch(members, look(placing, coarse), even, stretch.axis, reach), LAST_STEPS
        coarse = coarse.at(stretch(coarse.points))
        placing.carry(stretch)
    placed = placing.on(coarse, iterations=steps, tolerance=SETTLED, firmness=firmness)
    judge = EachProbability([_at(one, place) for one, place in zip(members, placed, strict=True)], placing.shapes)
    probability = judge(coarse.points)
    order = np.argsort(probability @ coarse.counts, kind="stable")
    kept = order[(len(order) - 1) // 4 : len(order) - (len(order) - 1) // 4].tolist()
    judge, probability = judge.some(kept), probability[kept]
    # Most bins lie where hardly any event is of the population; there a cell's probability is good enough.
    some = np.asarray((probability > BARELY).any(axis=0))
    near, counts = np.flatnonzero(some[cell]), coarse.counts * ~some
    judged = judge(stretch(even.some(near)))
    posterior = probability.mean(axis=0)[cell]
    posterior[near] = judged.mean(axis=0)
    expected = np.sort(probability @ counts + judged @ binned.counts[near])
    places = tuple(placed[at] for at in kept)
    return PlacedMembers(binned, stretch, places, columns, posterior, expected)


def _at(member: Member, place: Placement) -> Member:
    """A member where it was placed."""
    learnt = member.mixture
    there = learnt.means + place.shift + place.moves
    return replace(member, mixture=replace(learnt, means=there, weights=place.weights))


def _stretch(members: Sequence[Member], seen: Sequence[Placement], even: Binned, axis: int, reach: float) -> Stretch:
    """Of a tube to the cohort's strength on the marker that decides, by where the middle one of the members lies."""
    at = len(members) // 2
    one = members[at]
    own = Reach.seen(seen[at], one.mixture, one.wanted, axis, middle_of(even, axis), even.total)
    return Stretch.to(reach, own, axis)
