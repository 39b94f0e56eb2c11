"""Mixture ellipse: the cloud of the target population on two dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
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
COARSE = 4  # cells, along each axis, that are one where the mixture is sought; it is ended on the cells themselves
REACH = 160  # bins from the centre; the cells are two of them wide
SIDE = 2 * REACH + 2  # cells of the grid, with a border
CHUNK = 1 << 14  # events; what is made of them stays in the processor's cache
LEAST_BRIGHT = 50  # events
ENOUGH = 10_000  # events tell centre and spread well enough for a grid


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
        finite = _finite(columns)
        if finite is not None:
            columns = columns[:, finite]
        if columns.shape[1] < self.minimum:
            msg = f"{columns.shape[1]} events; at least {self.minimum} are needed"
            raise GateFitError(msg)
        with beside(self._bright, [context]) as seeds:
            centre, spread = _centre_and_spread(columns[:, :: max(1, columns.shape[1] // ENOUGH)])
            cell = _cells(columns, centre, spread)
            coarse, fine, known = _coarse_and_fine(cell)
            mixture = best_mixture([coarse, fine], self.components, self.nu, floor=BIN)
            ((bright, how),) = seeds()
        target = coarse.counts
        if bright is not None:
            those = cell.take(np.flatnonzero(bright if finite is None else bright[finite]))
            some = np.bincount(_coarse_numbers().take(those), minlength=SIDE**2)[known].astype(np.float64)
            target = some if some.sum() >= LEAST_BRIGHT else target
        k = _component_of(target, mixture.size, expectation(mixture, coarse.points)[0], mixture.scales, how)
        mean = centre + spread * mixture.means[k]
        scale = mixture.scales[k] * np.outer(spread, spread)
        distance = _squared_distance(self.mass, self.nu)
        share = float(mixture.weights[k])
        error = np.sqrt(np.diag(scale) / max(share * coarse.total, 1.0))
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
        return context.beyond(self.seed, float(cut), context.every), f"{self.seed}-bright events"


def _finite(columns: NDArray[np.floating[Any]]) -> NDArray[np.bool_] | None:
    """Mask of the events that are finite on all dimensions; None where all are."""
    if columns.size and np.isfinite(columns.min()) and np.isfinite(columns.max()):
        return None
    return np.asarray(np.isfinite(columns).all(axis=0))


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
) -> NDArray[np.int32]:
    """Number of each event's bin on a grid about the centre, which has a border for what lies beyond it."""
    cell = np.empty(columns.shape[1], np.int32)
    room = np.empty((2, min(CHUNK, len(cell))), columns.dtype)
    scale, begin = 1 / (spread * BIN), REACH + 1 - centre / (spread * BIN)
    for first in range(0, len(cell), CHUNK):
        into = cell[first : first + CHUNK]
        for axis, values in enumerate(columns[:, first : first + CHUNK]):
            place = np.multiply(values, values.dtype.type(scale[axis]), out=room[axis, : len(into)])
            place += values.dtype.type(begin[axis])
            np.clip(place, 0, SIDE - 1, out=place)
        across, along = room[:, : len(into)].astype(np.int32)
        np.multiply(across, SIDE, out=into)
        into += along
    return cell


@lru_cache
def _coarse_numbers() -> NDArray[np.intp]:
    """By bin of the grid the number of the coarse cell that it lies in, the border in one behind the last."""
    side = REACH // COARSE
    numbers = np.full((SIDE, SIDE), side**2)
    along = np.arange(2 * REACH) // (2 * COARSE)
    numbers[1:-1, 1:-1] = along[:, None] * side + along
    return numbers.ravel()


def _coarse_and_fine(cell: NDArray[np.int32]) -> tuple[Binned, Binned, NDArray[np.intp]]:
    """Events in coarse cells and in fine ones of two bins, in spreads from the centre, and the numbers of the former.

    Those on the border are left out: saturated and far-off events say nothing of a cloud.
    """
    counts = np.bincount(cell, minlength=SIDE**2).reshape(SIDE, SIDE)[1:-1, 1:-1].astype(np.float32)
    left, right = counts[::2], counts[1::2]  # two bins of a pair lie half a bin from its middle, on either side
    pairs, beyond = left + right, right - left
    events, x = (row[:, ::2] + row[:, 1::2] for row in (pairs, beyond))
    y = pairs[:, 1::2] - pairs[:, ::2]
    known = np.flatnonzero(events > 0)
    rows, columns = np.divmod(known, REACH)
    middle = (2 * np.arange(REACH) + 1 - REACH) * BIN
    events = events.ravel()[known].astype(np.float64)
    places = [middle[at] + one.ravel()[known] / events * (BIN / 2) for at, one in ((rows, x), (columns, y))]
    fine = Binned(np.stack(places).T, events, 2 * BIN)
    number = (rows // COARSE) * (REACH // COARSE) + columns // COARSE
    sums = [np.bincount(number, each) for each in (events, *(events * place for place in places))]
    held = np.flatnonzero(sums[0])
    merged, *along = (each[held].astype(np.float64) for each in sums)
    return Binned(np.stack(along).T / merged[:, None], merged, 2 * BIN * COARSE), fine, held


def _squared_distance(mass: float, nu: float) -> float:
    """Squared Mahalanobis distance within which that share of a bivariate t distribution lies.

    Half of it follows an F distribution with 2 and ν degrees of freedom, whose quantile has a closed form
    (scipy.stats, which has it too, takes over half a second to import).
    """
    return nu * math.expm1(-2 / nu * math.log1p(-mass))


def _component_of(
    target: NDArray[np.float64], size: int, posterior: NDArray[np.float64], scales: NDArray[np.float64], how: str
) -> int:
    """Component with the most target events; by density, with the most of them per area."""
    mass = target @ posterior
    if how.startswith("density"):
        mass = mass / np.sqrt(np.linalg.det(scales[:size]))
    return int(np.argmax(mass))
