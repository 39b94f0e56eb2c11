"""A cohort's mixtures on one tube: its markers made even and stretched, each member placed, the middle ones kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned, merged
from treg_gating.gating.far_side import FarSide, evened, moved
from treg_gating.gating.members import Member, each_probability
from treg_gating.gating.mixture_placement import Placement, place_mixture
from treg_gating.gating.stain_strength import Reach, Stretch, middle_of
from treg_gating.threads import side_by_side

__all__ = ["PlacedMembers", "place_members"]

Array = NDArray[np.float64]
SETTLED = 3e-5  # gain of log likelihood per event below which the mixture has found its place


@dataclass(frozen=True, eq=False)
class PlacedMembers:
    """The cohort's mixtures on one tube: what both steps of the tube are drawn from.

    Parameters
    ----------
    sides : how its markers were made even. members : those in the middle on this tube, by the population's share.
    places : where they lie. stretch : how the last marker was drawn to the cohort's strength behind the sides.
    posterior : mean of the members, shape (bins,).
    expected : events of the population by each of them, ascending.
    """

    binned: Binned
    sides: tuple[FarSide, ...]
    stretch: Stretch
    members: tuple[Member, ...]
    places: tuple[Placement, ...]
    columns: tuple[str, ...]
    posterior: Array
    expected: Array

    @property
    def shift(self) -> Array:
        """The tube's displacement, shape (d,)."""
        return np.asarray(np.mean([place.shift for place in self.places], axis=0))

    @property
    def covariance(self) -> Array:
        """Of the displacement, shape (d, d)."""
        return np.asarray(np.mean([np.linalg.inv(place.information) for place in self.places], axis=0))

    @property
    def total(self) -> float:
        """Events of the population, by the mean of the members."""
        return float(self.binned.counts @ self.posterior)

    def probability(self, points: Array) -> Array:
        """Of the population at `points`, shape (n,)."""
        even = self.stretch(moved(points, self.sides))
        return np.asarray(each_probability(self.members, even).mean(axis=0))


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
    loose, stiffness, firmness : see :func:`treg_gating.gating.mixture_placement.place_mixture`.
    """
    even, sides = evened(binned, signs)
    coarse = merged(even, width)
    stretch = _stretch(members, coarse, even, len(signs) - 1, reach)
    even, coarse = (replace(these, points=stretch(these.points)) for these in (even, coarse))

    def put(member: Member) -> tuple[float, Member, Placement]:
        learnt = member.mixture
        place = place_mixture(
            learnt, coarse, loose=loose, stiffness=stiffness, tolerance=SETTLED, together=member.wanted,
            firmness=firmness,
        )  # fmt: skip
        there = learnt.means + place.shift + place.moves
        member = replace(member, mixture=replace(learnt, means=there, weights=place.weights))
        return float(coarse.counts @ each_probability([member], coarse.points)[0]), member, place

    found = side_by_side(put, members)
    found.sort(key=lambda one: one[0])
    cut = (len(found) - 1) // 4
    _, kept, places = zip(*found[cut : len(found) - cut], strict=True)
    posteriors = each_probability(kept, even.points)
    return PlacedMembers(
        binned, sides, stretch, kept, places, columns, posteriors.mean(axis=0), np.sort(posteriors @ binned.counts)
    )


def _stretch(members: Sequence[Member], coarse: Binned, even: Binned, axis: int, reach: float) -> Stretch:
    """Of a tube to the cohort's strength on the marker that decides, where that is one besides the line's."""
    if not reach:
        return Stretch(axis)
    one = members[len(members) // 2]
    own = Reach.of(coarse, one.mixture, one.wanted, axis, middle_of(even, axis))
    return Stretch.to(reach, own, axis)
