"""Mixture ellipse: the cloud of the target population on two dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned
from treg_gating.gating.density import estimate_density, find_peaks, quantiles
from treg_gating.gating.gates import Ellipse
from treg_gating.gating.method import FitContext, MethodFit, argument, within
from treg_gating.gating.mixture import TAILS, expectation
from treg_gating.gating.mixture_start import best_mixture
from treg_gating.threads import beside

__all__ = ["MixtureEllipse"]

BIN = 0.05  # spreads
LEVELS = 3  # each with half the bins along each axis: the mixture is sought on the last, ended on the first
REACH = 160  # bins from the centre
SIDE = 2 * REACH + 2  # cells of the grid, with a border
CHUNK = 1 << 14  # events; what is made of them stays in the processor's cache


@dataclass(frozen=True, slots=True)
class MixtureEllipse:
    """An ellipse about one component of a two-dimensional t mixture.

    Which component is the target is not told by channel numbers, which differ between instruments, but by the
    events themselves: the component that holds most of the events bright on `seed` (CD3: the T cells show where
    lymphocytes scatter). Without a seed marker in the tube it is the component with the most events per area.

    Source: mixture-model clustering of scatter as in flowClust (Lo et al., Cytometry A 2008); back-gating from a
    lineage marker is what a cytometrist does by hand. Of a large tube every second, third, … event is looked at,
    some 100,000 at least.
    Fails: seed marker without a bright population; scatter in which the target is not a cloud of its own.
    """

    components: int = argument(4, "components of the mixture")
    mass: float = argument(0.95, "share of the target component inside the ellipse")
    seed: str = argument("CD3", "marker whose bright events point out the target; empty for none")
    nu: float = argument(8.0, "degrees of freedom of the t distributions")
    minimum: int = argument(300, "fewest events to fit on", "events")

    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        if not (0 < self.mass < 1 and self.components >= 1 and self.minimum >= 1):
            msg = (
                f"mass={self.mass:g}, components={self.components}, minimum={self.minimum}: "
                "expected mass within 0 to 1, the others above 0"
            )
            raise ValueError(msg)
        within(self, nu=TAILS)

    def fit(self, context: FitContext) -> MethodFit:
        """Ellipse on the step's two dimensions."""
        columns = context.fetch_every(context.every, context.dims).T
        finite = np.isfinite(columns).all(axis=0)
        if np.count_nonzero(finite) < self.minimum:
            msg = f"{np.count_nonzero(finite)} events; at least {self.minimum} are needed"
            raise GateFitError(msg)
        with beside(self._bright, [context]) as seeds:
            centre, spread = _centre_and_spread(columns if finite.all() else columns[:, finite])
            cell = _cells(columns, centre, spread)
            levels = _levels(cell)
            mixture = best_mixture(levels, self.components, self.nu, floor=BIN)
            ((bright, how),) = seeds()
        target = levels[0] if bright is None else _levels(cell.take(np.flatnonzero(bright)))[0]
        target = target if target.total >= 50 else levels[0]
        k = _component_of(target, mixture.size, expectation(mixture, target.points)[0], mixture.scales, how)
        mean = centre + spread * mixture.means[k]
        scale = mixture.scales[k] * np.outer(spread, spread)
        distance = _squared_distance(self.mass, self.nu)
        share = float(mixture.weights[k])
        error = np.sqrt(np.diag(scale) / max(share * levels[0].total, 1.0))
        gate = Ellipse(
            context.dims,
            (float(mean[0]), float(mean[1])),
            tuple(tuple(float(value) for value in row) for row in scale),
            distance,
        )
        reason = f"component with {100 * share:.0f} % of the events, chosen by {how}"
        return MethodFit(gate, reason, (float(error[0]), float(error[1])))

    def _bright(self, context: FitContext) -> tuple[NDArray[np.bool_] | None, str]:
        """Events of the highest peak region of the seed marker (None: all events), and how they were found."""
        if not self.seed:
            return None, "density"
        if not context.measures(self.seed):
            return None, f"density ({self.seed} is not stained)"
        density = estimate_density(*context.counted(self.seed, context.every), minimum=self.minimum)
        peaks = find_peaks(density.smoothed, 0.05)
        if len(peaks) < 2:
            return None, f"density ({self.seed} shows one peak)"
        left, right = peaks[-2].index, peaks[-1].index
        cut = density.centres[left + int(np.argmin(density.smoothed[left : right + 1]))]
        return context.fetch_every(context.every, (self.seed,))[:, 0] >= cut, f"{self.seed}-bright events"


def _centre_and_spread(columns: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    upto = np.arange(1, columns.shape[1] + 1)
    q1, centre, q3 = np.array([quantiles(np.sort(column), upto, 0.25, 0.5, 0.75) for column in columns], np.float64).T
    spread = (q3 - q1) / 1.349
    if not (spread > 0).all():
        msg = "all events have nearly the same value on a dimension"
        raise GateFitError(msg)
    return centre, spread


def _cells(
    columns: NDArray[np.floating[Any]], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Number of each event's cell on a grid about the centre, which has a border for what lies beyond it."""
    cell = np.empty(columns.shape[1], np.intp)
    for first in range(0, len(cell), CHUNK):
        part = slice(first, first + CHUNK)
        number = np.zeros(len(cell[part]), columns.dtype)  # cells have few enough that float32 counts them
        for values, middle, width in zip(columns, centre, spread * BIN, strict=True):
            place = values[part] / values.dtype.type(width)
            place += values.dtype.type(REACH + 1 - middle / width)
            np.fmax(place, 0, out=place)  # no number, too
            np.minimum(place, SIDE - 1, out=place)
            number *= SIDE
            number += np.floor(place, out=place)
        cell[part] = number
    return cell


def _levels(cell: NDArray[np.intp]) -> list[Binned]:
    """Events on the grid, in spreads from the centre, in ever more bins.

    Those on the border are left out: saturated and far-off events say nothing of a cloud.
    """
    counts = np.bincount(cell, minlength=SIDE**2).reshape(SIDE, SIDE)[1:-1, 1:-1].astype(np.float32)
    left, right = counts[::2], counts[1::2]  # two bins of a pair lie half a bin from its middle, on either side
    pairs, beyond = left + right, right - left
    events, x = (row[:, ::2] + row[:, 1::2] for row in (pairs, beyond))
    y = pairs[:, 1::2] - pairs[:, ::2]
    middle = (2 * np.arange(REACH) + 1 - REACH) * BIN
    sums = np.stack([events, events * middle[:, None] + x * (BIN / 2), events * middle + y * (BIN / 2)])
    levels = [_occupied(sums, 2 * BIN)]
    for level in range(1, LEVELS):
        sums = sums[:, ::2] + sums[:, 1::2]
        sums = sums[:, :, ::2] + sums[:, :, 1::2]
        levels.insert(0, _occupied(sums, 2 * BIN * 2**level))
    return levels


def _occupied(sums: NDArray[np.float64], width: float) -> Binned:
    """Cells that hold events, from their number and the sums of their places, shape (3, cells, cells)."""
    events, *places = sums.reshape(3, -1)[:, np.flatnonzero(sums[0] > 0)]
    return Binned(np.stack(places, axis=1) / events[:, None], events, width)


def _squared_distance(mass: float, nu: float) -> float:
    """Squared Mahalanobis distance within which that share of a bivariate t distribution lies.

    Half of it follows an F distribution with 2 and ν degrees of freedom, whose quantile has a closed form
    (scipy.stats, which has it too, takes over half a second to import).
    """
    return nu * math.expm1(-2 / nu * math.log1p(-mass))


def _component_of(
    target: Binned, size: int, posterior: NDArray[np.float64], scales: NDArray[np.float64], how: str
) -> int:
    """Component with the most target events; by density, with the most of them per area."""
    mass = target.counts @ posterior
    if how.startswith("density"):
        mass = mass / np.sqrt(np.linalg.det(scales[:size]))
    return int(np.argmax(mass))
