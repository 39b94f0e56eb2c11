"""Mixture ellipse: the cloud of the target population on two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, bin_events
from treg_gating.gating.density import estimate_density, find_peaks
from treg_gating.gating.gates import Ellipse
from treg_gating.gating.method import FitContext, MethodFit, argument
from treg_gating.gating.mixture import expectation
from treg_gating.gating.mixture_start import best_mixture

__all__ = ["MixtureEllipse"]


@dataclass(frozen=True, slots=True)
class MixtureEllipse:
    """An ellipse about one component of a two-dimensional t mixture.

    Which component is the target is not told by channel numbers, which differ between instruments, but by the
    events themselves: the component that holds most of the events bright on `seed` (CD3: the T cells show where
    lymphocytes scatter). Without a seed marker in the tube it is the component with the most events per area.

    Source: mixture-model clustering of scatter as in flowClust (Lo et al., Cytometry A 2008); back-gating from a
    lineage marker is what a cytometrist does by hand.
    Fails: seed marker without a bright population; scatter in which the target is not a cloud of its own.
    """

    components: int = argument(4, "components of the mixture")
    mass: float = argument(0.95, "share of the target component inside the ellipse")
    seed: str = argument("CD3", "marker whose bright events point out the target; empty for none")
    nu: float = argument(8.0, "degrees of freedom of the t distributions")
    minimum: int = argument(300, "fewest events to fit on", "events")

    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        if not (0 < self.mass < 1 and self.components >= 1 and self.nu > 0 and self.minimum >= 1):
            msg = (
                f"mass={self.mass:g}, components={self.components}, nu={self.nu:g}, minimum={self.minimum}: "
                "expected mass within 0 to 1, the others above 0"
            )
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Ellipse on the step's two dimensions."""
        from scipy.stats import f as f_distribution

        events = context.events
        finite = np.isfinite(events).all(axis=1)
        if finite.sum() < self.minimum:
            msg = f"{int(finite.sum())} events; at least {self.minimum} are needed"
            raise GateFitError(msg)
        centre, spread = _centre_and_spread(events[finite])
        scaled = (events - centre) / spread
        core = finite & (np.abs(scaled) < 8).all(axis=1)  # saturated and far-off events say nothing of a cloud
        binned = bin_events(scaled[core], 0.05)
        mixture = best_mixture(binned, self.components, self.nu, floor=0.05)
        bright, how = self._bright(context)
        target = bin_events(scaled[core & bright], 0.05) if (core & bright).sum() >= 50 else binned
        k = _component_of(target, mixture.size, expectation(mixture, target.points)[0], mixture.scales, how)
        mean = centre + spread * mixture.means[k]
        scale = mixture.scales[k] * np.outer(spread, spread)
        distance = 2 * float(f_distribution.ppf(self.mass, 2, self.nu))
        share = float(mixture.weights[k])
        error = np.sqrt(np.diag(scale) / max(share * binned.total, 1.0))
        gate = Ellipse(
            context.dims,
            (float(mean[0]), float(mean[1])),
            tuple(tuple(float(value) for value in row) for row in scale),
            distance,
        )
        reason = f"component with {100 * share:.0f} % of the events, chosen by {how}"
        return MethodFit(gate, reason, (float(error[0]), float(error[1])))

    def _bright(self, context: FitContext) -> tuple[NDArray[np.bool_], str]:
        """Events of the highest peak region of the seed marker, and how they were found."""
        everything = np.ones(len(context.events), dtype=bool)
        if not self.seed:
            return everything, "density"
        try:
            values = context.fetch((self.seed,))[:, 0]
        except GateFitError:
            return everything, f"density ({self.seed} is not stained)"
        density = estimate_density(values, minimum=self.minimum)
        peaks = find_peaks(density.smoothed, 0.05)
        if len(peaks) < 2:
            return everything, f"density ({self.seed} shows one peak)"
        left, right = peaks[-2].index, peaks[-1].index
        cut = density.centres[left + int(np.argmin(density.smoothed[left : right + 1]))]
        return values >= cut, f"{self.seed}-bright events"


def _centre_and_spread(events: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    q1, centre, q3 = np.quantile(events, [0.25, 0.5, 0.75], axis=0)
    spread = (q3 - q1) / 1.349
    if not (spread > 0).all():
        msg = "all events have nearly the same value on a dimension"
        raise GateFitError(msg)
    return centre, spread


def _component_of(
    target: Binned, size: int, posterior: NDArray[np.float64], scales: NDArray[np.float64], how: str
) -> int:
    """Component with the most target events; by density, with the most of them per area."""
    mass = target.counts @ posterior
    if how.startswith("density"):
        mass = mass / np.sqrt(np.linalg.det(scales[:size]))
    return int(np.argmax(mass))
