"""Aligned mixture: one mixture for the cohort, placed on each tube, cut as a line and a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, bin_events, bounded, merged
from treg_gating.gating.boundary import balanced_line, balanced_threshold, best_boundary, generous_line
from treg_gating.gating.cohort_mixture import learn_mixture, name_components
from treg_gating.gating.far_side import FarSide, evened, moved
from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.method import FitContext, Learner, MethodFit, argument
from treg_gating.gating.mixture import Mixture, marginal, probabilities, probability
from treg_gating.gating.mixture_placement import Placement, place_mixture
from treg_gating.gating.stain_strength import Reach, Stretch
from treg_gating.threads import side_by_side

__all__ = ["AlignedMixture"]

Array = NDArray[np.float64]
MEMBER = ("means", "scales", "weights", "wanted")  # of the model, one entry a member each
MOST_CELLS = 8_000  # of what a tube tells the cohort
PLACING = 3  # bins, along each axis, that are one while the mixture is placed: it moves by less than 0.001 gate units
SETTLED = 3e-5  # gain of log likelihood per event below which the mixture has found its place
UNSTABLE = 0.25  # range of the population's share over the starts, of itself, that must be spoken of


@dataclass(frozen=True, eq=False)
class _Member:
    """One of the cohort's mixtures on one tube, and which of its components are the population."""

    mixture: Mixture
    wanted: NDArray[np.bool_]
    place: Placement


def _probabilities(members: Sequence[_Member], points: Array) -> Array:
    """Of the population at `points` by each of the members, shape (members, n)."""
    return probabilities([(one.mixture, one.wanted) for one in members], points)


@dataclass(frozen=True, eq=False)
class _Placed:
    """The cohort's mixtures on one tube: what both steps of the tube are drawn from.

    Parameters
    ----------
    sides : how its markers were made even. members : those in the middle on this tube, by the population's share.
    stretch : how the last marker was drawn to the cohort's strength behind that. posterior : their mean, shape (bins,).
    expected : events of the population by each of them, ascending.
    """

    binned: Binned
    sides: tuple[FarSide, ...]
    stretch: Stretch
    members: tuple[_Member, ...]
    columns: tuple[str, ...]
    posterior: Array
    expected: Array

    @property
    def shift(self) -> Array:
        """The tube's displacement, shape (d,)."""
        return np.asarray(np.mean([one.place.shift for one in self.members], axis=0))

    @property
    def covariance(self) -> Array:
        """Of the displacement, shape (d, d)."""
        return np.asarray(np.mean([np.linalg.inv(one.place.information) for one in self.members], axis=0))

    @property
    def total(self) -> float:
        """Events of the population, by the mean of the members."""
        return float(self.binned.counts @ self.posterior)

    def probability(self, points: Array) -> Array:
        """Of the population at `points`, shape (n,)."""
        even = self.stretch(moved(points, self.sides))
        return np.asarray(_probabilities(self.members, even).mean(axis=0))


@dataclass(frozen=True, slots=True)
class AlignedMixture:
    """Find one population by a mixture that the whole cohort shares.

    Each marker's far side, which tells nothing of the population, is made normal (`gating/far_side.py`). The tubes
    the cohort learns from (baseline samples and control donors) are aligned, pooled, and described by
    one mixture of t distributions with many components of nearly the same shape (`tie`), so that a population
    may be skewed or wide and no component spreads over two. On each tube that mixture is placed by MAP-EM: the
    tube has its own displacement and its own weights, each component may move a little (`stiffness`), and those of
    the population together (`firmness`), for a stain may be dimmer while the negatives stay where they are. The
    population sought is made of the components that are high and low on the markers named; `context` markers
    take part in the mixture where they are stained (CD45RA tells naive from memory cells, and so a naive Treg
    from an activated cell), but say nothing of which components are sought. Without context, naive and memory
    cells lie in one cloud whose parts differ more in shape: `tie_alone` counts there.

    The gate is drawn so that a person can read it: a straight line on the first high and the first low marker
    (a step with two dimensions), and a threshold on the remaining high marker (a step with that one dimension).
    Direction and generosity of the line are chosen on the cohort for the best expected F1; on each tube the line is
    placed to keep that share of the population there, and the last cut so that it holds as many events as the mixture
    expects. So what it loses and what it takes in are in balance, and the percentage is not biased by the cut.

    The mixture is fitted from several starts, each from the bulk and what stands out of it. Five of the ends are kept
    and placed on a tube; the least and the greatest answer are left out and the mean of the others is taken, so that an
    odd optimum decides nothing. A tube on which those differ by more than a quarter of it is flagged.

    Source: aligned pooled mixtures as measured in the project's reference simulations; t mixtures, Peel & McLachlan
    2000; covariances drawn to a common one, Friedman (JASA 1989); MAP-EM with a conjugate prior, Fraley & Raftery
    (J Classif 2007).
    Fails: no component is high and low enough; a population whose place differs between tubes by more than `loose`.
    """

    high: tuple[str, ...] = argument(("CD25", "FOXP3"), "markers the population is high on; the first makes the line")
    low: tuple[str, ...] = argument(("CD127",), "markers the population is low on; the first makes the line")
    context: tuple[str, ...] = argument(("CD45RA",), "markers that help to tell populations apart, where stained")
    components: int = argument(12, "components of the mixture")
    nu: float = argument(30.0, "degrees of freedom of the t distributions; large is Gaussian")
    tie: float = argument(0.05, "strength of the prior that all components have one shape, as a share of all events")
    tie_alone: float = argument(0.05, "the same where no context marker takes part")
    starts: int = argument(9, "starts of the cohort's fit")
    bin: float = argument(0.02, "width of the bins events are collected in", "gate units")
    loose: float = argument(0.1, "prior SD of a tube's displacement", "gate units")
    stiffness: float = argument(300.0, "pseudo-events that hold a component in its place", "events")
    firmness: float = argument(100.0, "pseudo-events that hold the population as a whole in its place", "events")
    minimum: int = argument(200, "fewest events to place the mixture on", "events")

    learns_from: ClassVar[str] = "samples"

    def __post_init__(self) -> None:
        markers = len(self.high) + len(self.low)
        if not 1 <= len(self.high) <= 2 or len(self.low) > 1 or markers < 2 or self.components < 2 or self.starts < 1:
            msg = (
                f"high={self.high}, low={self.low}, components={self.components}, starts={self.starts}: "
                "expected 2 or 3 markers, 2 or more components, and a start"
            )
            raise ValueError(msg)

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers the gate is made of: the two of the line, then the threshold's where there is one."""
        return (self.high[0], *self.low, *self.high[1:])

    @property
    def signs(self) -> Array:
        """+1 for the markers the population is high on, −1 for low, in the order of `markers`."""
        return np.array([1.0] + [-1.0] * len(self.low) + [1.0] * len(self.high[1:]))

    def summarise(self, context: FitContext) -> Mapping[str, Any]:
        """Sparse histogram of this tube, made even, in no more cells than the cohort's fit can use."""
        columns = self._measured(context)
        key = (self.bin, columns, self.high, context.n_events, context.base)
        if key not in context.memo:  # two steps that learn the same from the same events look at them once
            even, _ = evened(bin_events(context.fetch(columns), self.bin), self.signs)
            context.memo[key] = bounded(even, MOST_CELLS, self.bin)
        cells: Binned = context.memo[key]
        points, counts = (values.astype(np.float32) for values in (cells.points, cells.counts))
        return {"columns": list(columns), "points": points, "counts": counts}

    def pool(self, learners: Sequence[Learner]) -> Mapping[str, Any]:
        """Align the tubes, fit the shared mixture, name its components, choose the line."""
        columns = [
            name
            for name in (*self.markers, *self.context)
            if learners and all(name in one.summary["columns"] for one in learners)
        ]
        tubes = [_binned(one.summary, columns) for one in learners]
        tubes = [tube for tube in tubes if tube.total >= self.minimum]
        if not tubes:
            msg = f"none of {len(learners)} tubes has {self.minimum} events to learn from"
            raise GateFitError(msg)
        n = len(self.markers)
        members, pooled, spread = learn_mixture(
            tubes,
            components=self.components,
            nu=self.nu,
            tie=self.tie if len(columns) > n else self.tie_alone,
            starts=self.starts,
            width=self.bin,
            loose=self.loose,
            signs=self.signs,
        )
        wanted = np.array([name_components(one, self.signs) for one in members])
        if not wanted.any():
            shown = "; ".join(", ".join(f"{value:.2f}" for value in mean[:n]) for mean in members[0].means)
            msg = f"no component is high on {', '.join(self.high)} and low on {', '.join(self.low)} (means: {shown})"
            raise GateFitError(msg)
        each = [probability(one, these, pooled.points) for one, these in zip(members, wanted, strict=True)]
        posterior = np.asarray(np.mean(each, axis=0))
        boundary = best_boundary(pooled, posterior, self.signs)
        middle, reach = len(members) // 2, 0.0
        if n > 2 and wanted[middle].any():
            cells = (merged(tube, PLACING * self.bin) for tube in tubes)
            reach = float(np.median([Reach.of(one, members[middle], wanted[middle], n - 1).distance for one in cells]))
        return {
            "columns": columns,
            "reach": reach,
            "means": np.array([one.means for one in members]),
            "scales": np.array([one.scales for one in members]),
            "weights": np.array([one.weights for one in members]),
            "wanted": wanted,
            "normal": np.array(boundary.normal),
            "recall": boundary.recall,
            "f1": boundary.f1,
            "starts_spread": spread,
            "tubes": len(tubes),
            "notes": self._notes(columns, spread),
        }

    def _notes(self, columns: Sequence[str], spread: float) -> list[str]:
        """What a reader of the run must know of the model."""
        notes = [
            f"{name} is not stained in every tube the cohort learns from and took no part; "
            "overlapping populations are told apart less well without it"
            for name in self.context
            if name not in columns
        ]
        if spread > UNSTABLE:
            notes.append(
                f"the population's share differs by {100 * spread:.0f} % of itself over the middle of {self.starts} "
                "starts of the fit; each tube takes the mean of those. Look at the gates before the values are used"
            )
        return notes

    def fit(self, context: FitContext) -> MethodFit:
        """Line (two dimensions) or threshold (one dimension) on this tube."""
        if context.model is None:
            msg = "the cohort taught no mixture"
            raise GateFitError(msg)
        key = (self, id(context.model))
        if key not in context.memo:
            context.memo[key] = self._place(context, context.model)
        placed: _Placed = context.memo[key]
        return self._line(context, context.model, placed) if len(context.dims) == 2 else self._cut(context, placed)

    def _place(self, context: FitContext, model: Mapping[str, Any]) -> _Placed:
        measured = self._measured(context)
        columns = tuple(name for name in model["columns"] if name in measured)
        binned = bin_events(context.fetch(columns), self.bin)
        if binned.total < self.minimum:
            msg = f"{binned.total:.0f} events; at least {self.minimum} are needed to place the mixture"
            raise GateFitError(msg)
        at = [list(model["columns"]).index(name) for name in columns]
        even, sides = evened(binned, self.signs)
        cells = merged(even, PLACING * self.bin)
        stretch = self._stretch(model, at, cells)
        even, cells = (replace(these, points=stretch(these.points)) for these in (even, cells))

        def put(one: Sequence[Array]) -> tuple[float, _Member]:
            learnt, together = self._member(one, at)
            place = place_mixture(
                learnt,
                cells,
                loose=self.loose,
                stiffness=self.stiffness,
                tolerance=SETTLED,
                together=together,
                firmness=self.firmness,
            )
            mixture = replace(learnt, means=learnt.means + place.shift + place.moves, weights=place.weights)
            member = _Member(mixture, together, place)
            return float(cells.counts @ _probabilities([member], cells.points)[0]), member

        found = side_by_side(put, list(zip(*(model[name] for name in MEMBER), strict=True)))
        found.sort(key=lambda one: one[0])
        cut = (len(found) - 1) // 4
        members = tuple(member for _, member in found[cut : len(found) - cut])
        posteriors = _probabilities(members, even.points)
        return _Placed(
            binned, sides, stretch, members, columns, posteriors.mean(axis=0), np.sort(posteriors @ binned.counts)
        )

    def _member(self, one: Sequence[Array], at: list[int]) -> tuple[Mixture, NDArray[np.bool_]]:
        """A member of the model on some of its columns, and which of its components are the population."""
        means, scales, weights, wanted = (np.asarray(values) for values in one)
        return marginal(Mixture(means, scales, weights, self.nu), at), wanted.astype(bool)

    def _stretch(self, model: Mapping[str, Any], at: list[int], cells: Binned) -> Stretch:
        """Of a tube to the cohort's strength on the marker that decides, where that is one besides the line's."""
        axis = len(self.markers) - 1
        if not model.get("reach"):
            return Stretch(axis)
        middle = len(model["means"]) // 2
        mixture, wanted = self._member([model[name][middle] for name in MEMBER], at)
        return Stretch.to(float(model["reach"]), Reach.of(cells, mixture, wanted, axis), axis)

    def _line(self, context: FitContext, model: Mapping[str, Any], placed: _Placed) -> MethodFit:
        normal = np.asarray(model["normal"], dtype=np.float64)
        error = float(np.sqrt(normal @ placed.covariance[:2, :2] @ normal))
        if len(self.markers) == 2:
            offset, jitter = balanced_line(placed.binned, placed.posterior, normal)
        else:
            offset, jitter = generous_line(placed.binned, placed.posterior, normal, float(model["recall"]))
        error = float(np.hypot(error, jitter))
        expected = 100 * placed.total / placed.binned.total
        moved = ", ".join(f"{value:+.3f}" for value in placed.shift)
        reason = (
            f"mixture of {self.components} over {', '.join(placed.columns)}, learnt on {model['tubes']} tube(s); "
            f"this tube displaced by {moved}{placed.stretch.said(placed.columns)}; {expected:.2f} % expected"
        )
        x, y = (float(value) for value in normal / np.hypot(*normal))
        caution = _caution(placed, model) if len(self.markers) == 2 else ""  # else the threshold decides, and says it
        return MethodFit(HalfPlane(context.dims, (x, y), offset), reason, (error,), caution)

    def _cut(self, context: FitContext, placed: _Placed) -> MethodFit:
        events = context.fetch_inside(placed.columns).astype(np.float64)
        events = events[np.isfinite(events).all(axis=1)]
        expected, at = placed.total, placed.columns.index(context.dims[0])
        threshold, jitter = balanced_threshold(events[:, at], placed.probability(events), expected)
        error = float(np.hypot(np.sqrt(placed.covariance[at, at]), jitter))
        share = 100 * expected / placed.binned.total
        reason = f"holds the {expected:.0f} events the mixture expects ({share:.2f} %)"
        return MethodFit(Interval(context.dims, low=threshold), reason, (error,), _caution(placed, context.model or {}))

    def _measured(self, context: FitContext) -> tuple[str, ...]:
        """Columns of this tube: the gate's markers, and the context that is stained."""
        return (*self.markers, *filter(context.measures, self.context))


def _caution(placed: _Placed, model: Mapping[str, Any]) -> str:
    """What a reader of this tube must know: empty where the members agree, on the cohort and on this tube."""
    low, mean, high = (float(value) for value in (placed.expected[0], placed.expected.mean(), placed.expected[-1]))
    spread = float(model.get("starts_spread", 0.0))
    if high - low <= UNSTABLE * mean:
        if spread <= UNSTABLE:
            return ""
        return f"on the cohort, fits from different starts differ by {100 * spread:.0f} % of the population's share"
    share = 100 / placed.binned.total
    return (
        f"fits from different starts expect {share * low:.2f} to {share * high:.2f} %; "
        f"their mean, {share * mean:.2f} %, was taken"
    )


def _binned(summary: Mapping[str, Any], columns: Sequence[str]) -> Binned:
    """A tube's histogram on some of its columns."""
    at = [list(summary["columns"]).index(name) for name in columns]
    points, counts = np.asarray(summary["points"], dtype=np.float64), np.asarray(summary["counts"], dtype=np.float64)
    return Binned(points.reshape(len(counts), -1)[:, at], counts)
