"""The side of the bulk that is turned away from a population, made normal, so that its shape misleads no mixture.

Dim events spread to the dark side of a stain: noise, compensation, and a scale that is stretched about zero. A mixture
describes a bulk that is skewed like that by components as wide as its dark side; on its bright side they are then too
wide, and take the dimmest of the population sought. Where an event lies on the dark side says nothing of whether it is
a Treg. So its rank alone is kept there: that half of the bulk becomes half of a normal distribution, as wide as the
bulk is on the side of the population. Beyond the mode nothing moves.

Source: normal scores of ranks, van der Waerden (Proc K Ned Akad Wet 1952); the width of a peak from its upper part,
where few events of a neighbouring population lie, as for a background without a control (Roederer, Cytometry 2001).
Fails: where most events are of the population sought, so that the mode is not the bulk's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, Lattice
from treg_gating.smoothing import smooth

__all__ = ["FarSide", "evened", "moved"]

Array = NDArray[np.float64]
STEP = 0.01  # gate units
SMOOTHING = 2.0  # steps
ONE_SD = 0.607  # of a normal peak's height, one standard deviation from its middle
NORMAL = NormalDist()
FARTHEST = 1e-6  # share of the bulk whose normal score is the last


@dataclass(frozen=True, eq=False)
class FarSide:
    """A monotone map of one marker, which moves nothing between the mode and the population.

    Parameters
    ----------
    sign : +1 where the population is high on the marker, −1 where it is low.
    knots, values : places on the far side and where they go, times `sign`, ascending, shape (m,); the last is the mode.
    """

    sign: float
    knots: Array
    values: Array

    @classmethod
    def of(cls, places: Array, counts: Array, sign: float) -> FarSide:
        """Of one marker's events in a tube: `counts` of them at `places`, shape (n,), gate units."""
        along = sign * places
        first = float(along.min())
        histogram = np.bincount(((along - first) / STEP + 0.5).astype(np.intp), counts)
        margin = np.zeros(int(10 * SMOOTHING))
        heights = smooth(np.concatenate([margin, histogram, margin]), SMOOTHING)[len(margin) :]
        top = min(int(np.argmax(heights)), len(histogram) - 1)
        reach = STEP * int(np.argmax(heights[top:] < ONE_SD * heights[top]))
        width = np.sqrt(max(reach**2 - (SMOOTHING * STEP) ** 2, STEP**2))  # without what the smoothing added
        far = histogram[: top + 1].astype(np.float64)
        far[top] /= 2
        knots, occupied = first + STEP * np.arange(top + 1), far > 0
        share = (np.cumsum(far) - far / 2) / max(2 * far.sum(), 1e-300)
        scores = [NORMAL.inv_cdf(float(one)) for one in np.clip(share, FARTHEST, 0.5)]
        values = knots[top] + width * np.array(scores)
        occupied[top] = False
        return cls(sign, np.append(knots[occupied], knots[top]), np.append(values[occupied], knots[top]))

    def __call__(self, places: Array) -> Array:
        """Where `places` on the marker go, shape (n,)."""
        along = self.sign * places
        far = np.flatnonzero(along < self.knots[-1])
        along[far] = np.interp(along[far], self.knots, self.values)
        return along * self.sign


def evened(data: Binned, signs: Array) -> tuple[Binned, tuple[FarSide, ...]]:
    """A tube's events with the far side of their first columns made normal, and the maps that did it, one a sign.

    Raises
    ------
    GateFitError : there are no events.
    """
    if not len(data.counts):
        msg = "no event has a number on every marker of the mixture"
        raise GateFitError(msg)
    sides = tuple(FarSide.of(*data.along(at), float(sign)) for at, sign in enumerate(signs))
    if data.lattice is None:
        return data.at(moved(data.points, sides)), sides
    lattice = Lattice(_moved(data.lattice.places, sides), data.lattice.numbers)
    return Binned(None, data.counts, data.width, data.beside, lattice), sides


def moved(points: Array, sides: Sequence[FarSide]) -> Array:
    """Events, shape (n, d), with their first columns moved."""
    return np.stack(_moved(np.asarray(points, dtype=np.float64).T, sides)).T


def _moved(axes: Iterable[Array], sides: Sequence[FarSide]) -> list[Array]:
    axes = list(axes)
    return [side(axis) for side, axis in zip(sides, axes, strict=False)] + axes[len(sides) :]
