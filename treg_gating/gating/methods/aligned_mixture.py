"""Aligned mixture: one mixture for the cohort, placed on each tube, cut as a line and a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.boundary import balanced_line, balanced_threshold, best_boundary
from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.method import FitContext, Learner, MethodFit, argument
from treg_gating.gating.mixture import (
    Binned,
    Mixture,
    Placement,
    bin_events,
    expectation,
    fit_mixture,
    place_mixture,
    start_mixture,
)

__all__ = ["AlignedMixture"]

ROUNDS = 4


@dataclass(frozen=True, slots=True)
class AlignedMixture:
    """Find one population by a mixture that the whole cohort shares.

    The tubes the cohort learns from (baseline samples and control donors) are aligned, pooled, and described by
    one mixture of t distributions. On each tube that mixture is placed by MAP-EM: the tube has its own
    displacement and its own weights, and each component may move a little (`stiffness` pseudo-events). The
    population sought is made of the components that are high and low on the markers named.

    The gate is drawn so that a person can read it: a straight line on the first high and the first low marker
    (a step with two dimensions), and a threshold on the remaining high marker (a step with that one dimension).
    Direction and generosity of the line are chosen on the cohort for the best expected F1; the last cut on each
    tube is placed so that it holds as many events as the mixture expects in the population. So what it loses and
    what it takes in are in balance, and the percentage is not biased by the position of the cut.

    Source: aligned pooled mixtures as measured in the project's reference simulations; t mixtures, Peel & McLachlan
    2000; MAP-EM with a conjugate prior, Fraley & Raftery (J Classif 2007).
    Fails: no component is high and low enough; a population whose place differs between tubes by more than `loose`.
    """

    high: tuple[str, ...] = argument(("CD25", "FOXP3"), "markers the population is high on; the first makes the line")
    low: tuple[str, ...] = argument(("CD127",), "markers the population is low on; the first makes the line")
    components: int = argument(5, "components of the mixture")
    nu: float = argument(8.0, "degrees of freedom of the t distributions; large is Gaussian")
    bin: float = argument(0.02, "width of the bins events are collected in", "gate units")
    loose: float = argument(0.1, "prior SD of a tube's displacement", "gate units")
    stiffness: float = argument(300.0, "pseudo-events that hold a component in its place", "events")
    minimum: int = argument(200, "fewest events to place the mixture on", "events")

    learns_from: ClassVar[str] = "samples"

    def __post_init__(self) -> None:
        if (
            not 1 <= len(self.high) <= 2
            or len(self.low) > 1
            or len(self.high) + len(self.low) < 2
            or self.components < 2
        ):
            msg = (
                f"high={self.high}, low={self.low}, components={self.components}: "
                "expected 2 or 3 markers and 2 or more components"
            )
            raise ValueError(msg)

    @property
    def markers(self) -> tuple[str, ...]:
        """Columns of the mixture: the two of the line, then the threshold's where there is one."""
        return (self.high[0], *self.low, *self.high[1:])

    def summarise(self, context: FitContext) -> Mapping[str, Any]:
        """Sparse histogram of this tube."""
        binned = bin_events(context.fetch(self.markers), self.bin)
        return {"points": binned.points, "counts": binned.counts}

    def pool(self, learners: Sequence[Learner]) -> Mapping[str, Any]:
        """Align the tubes, fit the shared mixture, name its components, choose the line."""
        tubes = [Binned(np.asarray(one.summary["points"]), np.asarray(one.summary["counts"])) for one in learners]
        tubes = [tube for tube in tubes if tube.total >= self.minimum]
        if not tubes:
            msg = f"none of {len(learners)} tubes has {self.minimum} events to learn from"
            raise GateFitError(msg)
        shifts = np.array([_median(tube) for tube in tubes])
        shifts -= shifts.mean(axis=0)
        mixture = start_mixture(_pooled(tubes, shifts, self.bin), self.components, self.nu, floor=self.bin / 2)
        for _ in range(ROUNDS):
            mixture = fit_mixture(_pooled(tubes, shifts, self.bin), mixture, floor=self.bin / 2)
            places = [place_mixture(mixture, tube, loose=self.loose, stiffness=np.inf, start=None) for tube in tubes]
            shifts = np.array([place.shift for place in places])
            shifts -= shifts.mean(axis=0)
        wanted = name_components(mixture, self._signs())
        if not wanted.any():
            shown = "; ".join(", ".join(f"{value:.2f}" for value in mean) for mean in mixture.means)
            msg = f"no component is high on {', '.join(self.high)} and low on {', '.join(self.low)} (means: {shown})"
            raise GateFitError(msg)
        pooled = _pooled(tubes, shifts, self.bin)
        posterior = expectation(mixture, pooled.points)[0][:, wanted].sum(axis=1)
        boundary = best_boundary(pooled, posterior, self._signs()[:2])
        return {
            "means": mixture.means,
            "scales": mixture.scales,
            "weights": mixture.weights,
            "nu": self.nu,
            "wanted": wanted,
            "normal": np.array(boundary.normal),
            "offset": boundary.offset,
            "recall": boundary.recall,
            "f1": boundary.f1,
            "tubes": len(tubes),
        }

    def fit(self, context: FitContext) -> MethodFit:
        """Line (two dimensions) or threshold (one dimension) on this tube."""
        if context.model is None:
            msg = "the cohort taught no mixture"
            raise GateFitError(msg)
        key = (self, id(context.model))
        if key not in context.memo:
            context.memo[key] = self._place(context)
        binned, place, posterior = context.memo[key]
        return self._line(context, binned, place, posterior) if len(context.dims) == 2 else self._cut(context, place)

    def _place(self, context: FitContext) -> tuple[Binned, Placement, NDArray[np.float64]]:
        binned = bin_events(context.fetch(self.markers), self.bin)
        if binned.total < self.minimum:
            msg = f"{binned.total:.0f} events; at least {self.minimum} are needed to place the mixture"
            raise GateFitError(msg)
        assert context.model is not None  # noqa: S101 - checked by the caller
        mixture = _mixture(context.model)
        place = place_mixture(mixture, binned, loose=self.loose, stiffness=self.stiffness)
        placed = replace(mixture, means=mixture.means + place.shift + place.moves, weights=place.weights)
        posterior = expectation(placed, binned.points)[0][:, np.asarray(context.model["wanted"])].sum(axis=1)
        return binned, place, posterior

    def _line(self, context: FitContext, binned: Binned, place: Placement, posterior: NDArray[np.float64]) -> MethodFit:
        assert context.model is not None  # noqa: S101
        normal = np.asarray(context.model["normal"])
        error = float(np.sqrt(normal @ np.linalg.inv(place.information)[:2, :2] @ normal))
        if len(self.markers) == 2:
            offset, jitter = balanced_line(binned, posterior, normal)
            error = float(np.hypot(error, jitter))
        else:
            offset = float(context.model["offset"]) + float(normal @ place.shift[:2])
        reason = (
            f"mixture of {self.components} over {context.model['tubes']} tube(s), this tube displaced by "
            f"{', '.join(f'{value:+.3f}' for value in place.shift)}; "
            f"{100 * binned.counts @ posterior / binned.total:.2f} % expected"
        )
        x, y = (float(value) for value in normal)
        length = float(np.hypot(x, y))
        return MethodFit(HalfPlane(context.dims, (x / length, y / length), offset), reason, (error,))

    def _cut(self, context: FitContext, place: Placement) -> MethodFit:
        assert context.model is not None  # noqa: S101
        mixture = _mixture(context.model)
        placed = replace(mixture, means=mixture.means + place.shift + place.moves, weights=place.weights)
        events = context.fetch(self.markers)
        posterior = expectation(placed, events)[0][:, np.asarray(context.model["wanted"])].sum(axis=1)
        inside = np.ones(len(events), bool) if context.inside is None else context.inside
        threshold, jitter = balanced_threshold(events[inside, 2], posterior[inside], float(posterior.sum()))
        error = float(np.hypot(np.sqrt(np.linalg.inv(place.information)[2, 2]), jitter))
        reason = f"holds the {posterior.sum():.0f} events the mixture expects ({100 * posterior.mean():.2f} %)"
        return MethodFit(Interval(context.dims, low=threshold), reason, (error,))

    def _signs(self) -> NDArray[np.float64]:
        """+1 for columns the population is high on, −1 for low, in the order of `markers`."""
        return np.array([1.0] + [-1.0] * len(self.low) + [1.0] * len(self.high[1:]))


def name_components(mixture: Mixture, signs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which components are the population sought: displaced from the main one in the right direction on every marker.

    The displacement is measured in spreads of the main component. A component counts when none of its markers
    points the wrong way by more than half a spread, and the markers together reach two spreads on average
    (three markers) or one on each (two markers).
    """
    main = int(np.argmax(mixture.weights))
    z = signs * (mixture.means - mixture.means[main]) / mixture.spreads[main]
    least = 1.0 if len(signs) == 2 else 0.0
    wanted: NDArray[np.bool_] = (z.min(axis=1) >= least) & (z.mean(axis=1) >= 1.5) & (z[:, -1] >= 1.0)
    return wanted


def _mixture(model: Mapping[str, Any]) -> Mixture:
    means, scales, weights = (np.asarray(model[name], dtype=np.float64) for name in ("means", "scales", "weights"))
    return Mixture(means, scales, weights, float(model["nu"]))


def _median(tube: Binned) -> NDArray[np.float64]:
    """Weighted median of every axis."""
    result = np.empty(tube.points.shape[1])
    for axis in range(len(result)):
        order = np.argsort(tube.points[:, axis], kind="stable")
        half = np.searchsorted(np.cumsum(tube.counts[order]), tube.total / 2)
        result[axis] = tube.points[order[half], axis]
    return result


def _pooled(tubes: Sequence[Binned], shifts: NDArray[np.float64], width: float) -> Binned:
    """One histogram of all tubes, each moved back by its shift; a tube counts at most as much as 20,000 events."""
    points = np.concatenate([tube.points - shift for tube, shift in zip(tubes, shifts, strict=True)])
    counts = np.concatenate([tube.counts * min(1.0, 20_000 / tube.total) for tube in tubes])
    if len(points) <= 20_000:
        return Binned(points, counts)
    cells = np.floor(points / width).astype(np.int64)
    _, inverse = np.unique(cells, axis=0, return_inverse=True)
    total = np.bincount(inverse.ravel(), counts).astype(np.float64)
    centres = np.column_stack([np.bincount(inverse.ravel(), counts * axis) / total for axis in points.T])
    return Binned(centres, total)
