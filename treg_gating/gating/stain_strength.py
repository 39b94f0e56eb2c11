"""How strongly a tube is stained for the marker that decides, and its axis stretched to the cohort's strength.

A weaker stain, or a lower voltage, brings the population nearer to the bulk, and with it what lies between them. A
displacement of the whole tube does not describe that, nor one of the population alone: it leaves the cells between
them where they were. So the marker's axis is stretched about the bulk's middle until the population stands as far from
it as in the cohort. How far it stands is where the cohort's mixture, placed on the tube, puts the population's
components, against the tube's median; of a tube with few events of the population the cohort's distance is believed
rather than its own.

Source: a gain acts on all that is above the background in proportion (Parks, Roederer and Moore, Cytometry A 2006,
for the scale that is nearly linear about it); the draw to the cohort is that of a mean with known variances.
Fails: where the population's own brightness changes and its stain does not; then what lies between is stretched too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import Mixture
from treg_gating.gating.mixture_placement import Placement, Placing

__all__ = ["Reach", "Stretch", "look", "middle_of"]

Array = NDArray[np.float64]
STEP = 0.001  # gate units; places that are nearer are one
DRAWN = 100.0  # events of the population that weigh as much as the cohort
FARTHEST = 1.15  # factor no stretch goes beyond
LOOSE, STIFFNESS, FIRMNESS = 0.1, 300.0, 25.0  # of the placement that sees where the population stands
STEPS, SETTLED = 7, 2e-3  # of it; a tube that lies where the cohort does takes fewer


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a population stands on one axis of a tube.

    Parameters
    ----------
    middle : median of all events, gate units. distance : of the population's mean from it, gate units.
    events : of the population.
    """

    middle: float
    distance: float
    events: float

    @classmethod
    def of(cls, data: Binned, mixture: Mixture, wanted: NDArray[np.bool_], axis: int, middle: float) -> Reach:
        """By a cohort's mixture on a tube's events, whose median on the axis is `middle` (:func:`middle_of`)."""
        placing = Placing([mixture], loose=LOOSE, stiffness=STIFFNESS, together=[wanted])
        (place,) = look(placing, data)
        return cls.seen(place, mixture, wanted, axis, middle, data.total)

    @classmethod
    def seen(
        cls, place: Placement, mixture: Mixture, wanted: NDArray[np.bool_], axis: int, middle: float, total: float
    ) -> Reach:
        """By where a cohort's mixture was placed on a tube of `total` events.

        The components `wanted`, shape (k,), are the population. They count as in the cohort: a tube with more of a
        brighter kind is not stained more strongly.
        """
        stands = (mixture.means + place.shift + place.moves)[wanted, axis]
        mean = float(np.average(stands, weights=mixture.weights[wanted]))
        return cls(middle, mean - middle, float(total * place.weights[wanted].sum()))


def look(placing: Placing, data: Binned) -> list[Placement]:
    """Let mixtures go as far on a tube as is enough to see where its population stands."""
    return placing.on(data, iterations=STEPS, tolerance=SETTLED, firmness=FIRMNESS)


def middle_of(data: Binned, axis: int) -> float:
    """Median of a tube's events on one axis, gate units; between the bins events are evenly spread.

    Of the finest bins there are: in wide ones it depends on where their edges lie in the bulk.
    """
    places, events = data.along(axis)
    first = float(places.min())
    counts = np.bincount(((places - first) / STEP + 0.5).astype(np.intp), events)
    filled = np.flatnonzero(counts)
    upto = np.cumsum(counts[filled]) - counts[filled] / 2
    return float(np.interp(data.total / 2, upto, first + STEP * filled))


@dataclass(frozen=True, slots=True)
class Stretch:
    """An axis, drawn out or together about `middle` by `factor`; the others stay."""

    axis: int
    middle: float = 0.0
    factor: float = 1.0

    @classmethod
    def to(cls, distance: float, reach: Reach, axis: int) -> Stretch:
        """The one that brings a tube's population to the cohort's `distance`, as far as its events speak for it."""
        if not (reach.distance > 0 and distance > 0):
            return cls(axis)
        own = reach.events / (reach.events + DRAWN)
        factor = distance / (own * reach.distance + (1 - own) * distance)
        return cls(axis, reach.middle, float(np.clip(factor, 1 / FARTHEST, FARTHEST)))

    def said(self, columns: Sequence[str]) -> str:
        """For a reader of the gate: empty where nothing was stretched."""
        return "" if self.factor == 1 else f", {columns[self.axis]} stretched by {self.factor:.3f}"

    def __call__(self, points: Array) -> Array:
        """Where `points`, shape (n, d), go."""
        result = np.array(points, dtype=np.float64)
        result[:, self.axis] = self.middle + self.factor * (result[:, self.axis] - self.middle)
        return result
